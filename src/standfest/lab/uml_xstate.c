/* Lets User Mode Linux run on processors whose register state it does not know (AMX tiles).
 *
 * Linux 6.1 as User Mode Linux keeps 2,696 bytes of its processes' extended state. On a processor
 * with more, the host refuses to have so few set, and no process of the guest ever starts. This is
 * put before libc's ptrace: what the guest's kernel sets is laid over what the host has, whole.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define NT_X86_XSTATE 0x202
#define LARGEST_STATE 65536

long ptrace(enum __ptrace_request request, ...)
{
    va_list rest;
    va_start(rest, request);
    pid_t process = va_arg(rest, pid_t);
    void *address = va_arg(rest, void *);
    void *data = va_arg(rest, void *);
    va_end(rest);

    if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
        long word; /* the system call stores what libc's function returns */
        long failed = syscall(SYS_ptrace, request, process, address, &word);
        return failed < 0 ? failed : word;
    }
    if (request == PTRACE_SETREGSET && (long)address == NT_X86_XSTATE) {
        static __thread char state[LARGEST_STATE];
        const struct iovec *known = data;
        struct iovec whole = {state, sizeof state};
        if (syscall(SYS_ptrace, PTRACE_GETREGSET, process, address, &whole) == 0
            && whole.iov_len > known->iov_len) {
            memcpy(state, known->iov_base, known->iov_len);
            return syscall(SYS_ptrace, PTRACE_SETREGSET, process, address, &whole);
        }
    }
    return syscall(SYS_ptrace, request, process, address, data);
}
