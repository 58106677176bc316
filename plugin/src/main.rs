//! The program `kubectl-svc_reach`. Everything it does is in the library beside it.

fn main() -> std::process::ExitCode {
    svc_reach::main()
}
