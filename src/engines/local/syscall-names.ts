/**
 * The name of a system call: `read`; where the table lacks it, its number.
 * @param arch as `process.arch` says it
 */
export const syscallName = (number: number, arch: string = process.arch): string =>
  namesOf(arch).get(number) ?? String(number);

/** Whether a system call's first argument is the descriptor of what it works on. */
export const takesDescriptor = (name: string): boolean => onDescriptor.has(name);

function namesOf(arch: string): ReadonlyMap<number, string> {
  const column = { x64: 1, arm64: 2 }[arch];
  if (column === undefined) return new Map();
  return new Map(rows.map((row) => [Number(row[column]), row[0] ?? ''] as const));
}

/**
 * Those that a thread may be found waiting in, with their numbers on x86_64 and aarch64 (asm/unistd_64.h and
 * asm-generic/unistd.h of Linux 6.1; numbers never change). `-`: there is none.
 */
const rows = `
  read 0 63, write 1 64, readv 19 65, writev 20 66, pread64 17 67, pwrite64 18 68, preadv 295 69, pwritev 296 70,
  preadv2 327 286, pwritev2 328 287, sendfile 40 71, splice 275 76, copy_file_range 326 285,
  open 2 -, openat 257 56, openat2 437 437, close 3 57, stat 4 -, lstat 6 -, fstat 5 80, newfstatat 262 79,
  statx 332 291, access 21 -, faccessat 269 48, readlink 89 -, readlinkat 267 78, getdents 78 -, getdents64 217 61,
  statfs 137 43, fstatfs 138 44, rename 82 -, renameat 264 38, renameat2 316 276, unlink 87 -, unlinkat 263 35,
  mkdir 83 -, mkdirat 258 34, rmdir 84 -, truncate 76 45, ftruncate 77 46, fallocate 285 47, fsync 74 82,
  fdatasync 75 83, sync 162 81, syncfs 306 267, sync_file_range 277 84, flock 73 32, fcntl 72 25, ioctl 16 29,
  mmap 9 222, munmap 11 215, mremap 25 216, madvise 28 233, msync 26 227, mprotect 10 226, brk 12 214,
  poll 7 -, ppoll 271 73, select 23 -, pselect6 270 72, epoll_wait 232 -, epoll_pwait 281 22, epoll_pwait2 441 441,
  accept 43 202, accept4 288 242, connect 42 203, sendto 44 206, recvfrom 45 207, sendmsg 46 211, recvmsg 47 212,
  sendmmsg 307 269, recvmmsg 299 243, io_getevents 208 4, io_pgetevents 333 292, io_uring_enter 426 426,
  futex 202 98, futex_waitv 449 449, nanosleep 35 101, clock_nanosleep 230 115, pause 34 -, rt_sigsuspend 130 133,
  rt_sigtimedwait 128 137, restart_syscall 219 128, sched_yield 24 124, wait4 61 260, waitid 247 95, vfork 58 -,
  clone 56 220, execve 59 221, exit 60 93, exit_group 231 94, semop 65 193, semtimedop 220 192, msgrcv 70 188,
  msgsnd 69 189, mq_timedreceive 243 183`
  .split(',')
  .map((row) => row.trim().split(' '));

const onDescriptor = new Set(
  (
    'read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 close fstat getdents getdents64 fstatfs ' +
    'ftruncate fallocate fsync fdatasync syncfs sync_file_range flock fcntl ioctl accept accept4 connect sendto ' +
    'recvfrom sendmsg recvmsg sendmmsg recvmmsg'
  ).split(' '),
);
