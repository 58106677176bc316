//! The program `kubectl-svc_reach`. All its code is in the library.

fn main() -> std::process::ExitCode {
    svc_reach::main()
}
