/** The libc calls that Node does not offer, or not without an extra copy. One prototype a line, with its man page. */
import { bind } from "./ffi.ts"

/** read(2). On the FUSE device: one whole request a call. */
export const read = bind<[fd: number, into: Buffer, count: number]>("long read(int, void*, size_t)")
/** write(2). On the FUSE device: one whole reply a call. */
export const write = bind<[fd: number, from: Buffer, count: number]>("long write(int, const void*, size_t)")
/** preadv(2) and pwritev(2); `iov` is an array of struct iovec built by hand. */
export const preadv = bind<[fd: number, iov: Buffer, count: number, offset: number]>(
  "long preadv(int, const void*, int, int64_t)",
)
export const pwritev = bind<[fd: number, iov: Buffer, count: number, offset: number]>(
  "long pwritev(int, const void*, int, int64_t)",
)
/** poll(2) */
export const poll = bind<[fds: Buffer, count: number, timeoutMs: number]>(
  "int poll(void*, unsigned long, int)",
)
/** ppoll(2) with a struct timespec, and the signals as they are */
export const ppoll = bind<[fds: Buffer, count: number, timeout: Buffer, signals: null]>(
  "int ppoll(void*, unsigned long, const void*, const void*)",
)
/** eventfd(2) */
export const eventfd = bind<[initial: number, flags: number]>("int eventfd(unsigned int, int)")
/** fcntl(2) with an integer argument */
export const fcntl = bind<[fd: number, command: number, argument: number]>("int fcntl(int, int, int)")
/** flock(2) */
export const flock = bind<[fd: number, operation: number]>("int flock(int, int)")
/** ioctl(2) with a pointer */
export const ioctl = bind<[fd: number, request: number, argument: Buffer]>(
  "int ioctl(int, unsigned long, void*)",
)
/** mmap(2), munmap(2) */
export const mmap = bind<
  [address: null, length: number, protection: number, flags: number, fd: number, offset: number],
  unknown
>("void* mmap(void*, size_t, int, int, int, int64_t)")
export const munmap = bind<[address: unknown, length: number]>("int munmap(void*, size_t)")
/** mlock(2), madvise(2) */
export const mlock = bind<[address: unknown, length: number]>("int mlock(void*, size_t)")
export const madvise = bind<[address: unknown, length: number, advice: number]>(
  "int madvise(void*, size_t, int)",
)
/** memfd_secret(2), pidfd_send_signal(2): glibc has no functions of their own for them */
export const syscall2 = bind<[number: number, a: number, b: number, c: null, d: number]>(
  "long syscall(long, long, long, void*, long)",
)
/** setenv(3): what a library's getenv(3) sees; in a worker thread `process.env` is a copy */
export const setenv = bind<[name: string, value: string, overwrite: number]>(
  "int setenv(const char*, const char*, int)",
)
/** memfd_create(2) */
export const memfdCreate = bind<[name: string, flags: number]>("int memfd_create(const char*, unsigned int)")
/** ftruncate(2), fallocate(2) */
export const ftruncate = bind<[fd: number, length: number]>("int ftruncate(int, int64_t)")
export const fallocate = bind<[fd: number, mode: number, offset: number, length: number]>(
  "int fallocate(int, int, int64_t, int64_t)",
)
/** mount(2), umount2(2) */
export const mount = bind<[source: string, target: string, type: string, flags: number, data: string]>(
  "int mount(const char*, const char*, const char*, unsigned long, const char*)",
)
export const umount2 = bind<[target: string, flags: number]>("int umount2(const char*, int)")
/** clock_gettime(2) */
export const clockGettime = bind<[clock: number, timespec: Buffer]>("int clock_gettime(int, void*)")
/** socketpair(2), recvmsg(2), close(2): the descriptor that fusermount3 passes */
export const socketpair = bind<[domain: number, type: number, protocol: number, pair: Buffer]>(
  "int socketpair(int, int, int, void*)",
)
export const recvmsg = bind<[fd: number, message: Buffer, flags: number]>("long recvmsg(int, void*, int)")
export const close = bind<[fd: number]>("int close(int)")
/** socket(2), bind(2), listen(2), accept4(2), connect(2), sendmsg(2), getsockopt(2), setsockopt(2) */
export const socket = bind<[domain: number, type: number, protocol: number]>("int socket(int, int, int)")
export const bindSocket = bind<[fd: number, address: Buffer, length: number]>(
  "int bind(int, const void*, unsigned int)",
)
export const listen = bind<[fd: number, backlog: number]>("int listen(int, int)")
export const accept4 = bind<[fd: number, address: null, length: null, flags: number]>(
  "int accept4(int, void*, void*, int)",
)
export const connect = bind<[fd: number, address: Buffer, length: number]>(
  "int connect(int, const void*, unsigned int)",
)
export const sendmsg = bind<[fd: number, message: Buffer, flags: number]>(
  "long sendmsg(int, const void*, int)",
)
export const getsockopt = bind<[fd: number, level: number, name: number, value: Buffer, length: Buffer]>(
  "int getsockopt(int, int, int, void*, void*)",
)
export const setsockopt = bind<[fd: number, level: number, name: number, value: Buffer, length: number]>(
  "int setsockopt(int, int, int, const void*, unsigned int)",
)
/** close_range(2), which older C libraries lack */
export const closeRangeCall = bind<[number: number, first: number, last: number, flags: number]>(
  "long syscall(long, unsigned int, unsigned int, unsigned int)",
)
/** sync_file_range(2) */
export const syncFileRange = bind<[fd: number, offset: number, length: number, flags: number]>(
  "int sync_file_range(int, int64_t, int64_t, unsigned int)",
)
/** futimens(3); two struct timespec: access, modification */
export const futimens = bind<[fd: number, times: Buffer]>("int futimens(int, const void*)")
/** pipe2(2) */
export const pipe2 = bind<[pair: Buffer, flags: number]>("int pipe2(void*, int)")
/** prctl(2), setrlimit(2) */
export const prctl = bind<[option: number, a: number, b: number, c: number, d: number]>(
  "int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)",
)
export const setrlimit = bind<[resource: number, limit: Buffer]>("int setrlimit(int, const void*)")
/** tcgetattr(3), tcsetattr(3) */
export const tcgetattr = bind<[fd: number, termios: Buffer]>("int tcgetattr(int, void*)")
export const tcsetattr = bind<[fd: number, when: number, termios: Buffer]>(
  "int tcsetattr(int, int, const void*)",
)
/** lseek(2) with SEEK_DATA and SEEK_HOLE; syncfs(2) */
export const lseek = bind<[fd: number, offset: number, whence: number]>("int64_t lseek(int, int64_t, int)")
export const syncfs = bind<[fd: number]>("int syncfs(int)")
