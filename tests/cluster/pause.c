// Holds a pod's namespaces open. Collects orphans, and ends on SIGINT or SIGTERM.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void collect(int signal) {
  (void)signal;
  while (waitpid(-1, 0, WNOHANG) > 0) {
  }
}

static void end(int signal) {
  (void)signal;
  _exit(0);
}

int main(void) {
  signal(SIGCHLD, collect);
  signal(SIGINT, end);
  signal(SIGTERM, end);
  for (;;) pause();
}
