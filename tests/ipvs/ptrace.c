/* Lets the user-mode kernel of Debian 12 run on processors whose register state is larger than it expects.
 *
 * Linux 6.1 for user mode keeps 2696 bytes of extended state for each process (arch/x86/um/user-offsets.c, HOST_FP_SIZE).
 * The host sets the state only as a whole (arch/x86/kernel/fpu/regset.c, xstateregs_set), and with AMX it has 11008 bytes.
 * Then the kernel's first process fails with SIGSEGV. This library passes the whole state to the host. The part that the
 * kernel does not know stays as the process has it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

typedef long (*ptrace_call)(int request, int pid, void *address, void *data);

long ptrace(enum __ptrace_request request, ...) {
  static _Alignas(64) unsigned char state[1 << 16];
  static ptrace_call host;
  va_list arguments;
  va_start(arguments, request);
  int pid = va_arg(arguments, int);
  void *address = va_arg(arguments, void *);
  void *data = va_arg(arguments, void *);
  va_end(arguments);
  if (!host)
    host = (ptrace_call)dlsym(RTLD_NEXT, "ptrace");
  int get = request == PTRACE_GETREGSET, set = request == PTRACE_SETREGSET;
  if (!(get || set) || address != (void *)(size_t)NT_X86_XSTATE)
    return host(request, pid, address, data);
  struct iovec whole = {state, sizeof state}, *known = data;
  long result = host(PTRACE_GETREGSET, pid, address, &whole);
  if (result < 0)
    return result;
  if (known->iov_len > whole.iov_len)
    known->iov_len = whole.iov_len;
  if (get) {
    memcpy(known->iov_base, state, known->iov_len);
    return result;
  }
  memcpy(state, known->iov_base, known->iov_len);
  return host(PTRACE_SETREGSET, pid, address, &whole);
}
