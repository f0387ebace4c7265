--- The system calls that the daemon needs and lua-posix does not offer, by
-- LuaJIT's ffi: descriptors with close-on-exec, times in nanoseconds,
-- sendfile, memmem. Everything returns nil, errno on failure. Knows no HTTP
-- and never yields, but for `wait_fd` and the calls made of it.

local ffi = require "ffi"
local bit = require "bit"
local cqueues = require "cqueues"
local posix_errno = require "posix.errno"

ffi.cdef [[
typedef long ssize_t;
ssize_t read(int fd, void *buf, size_t n);
ssize_t write(int fd, const void *buf, size_t n);
int open(const char *path, int flags, ...);
int close(int fd);
int pipe2(int *fds, int flags);
int fcntl(int fd, int cmd, ...);
int ftruncate(int fd, long length);
int ioctl(int fd, unsigned long request, ...);
long lseek(int fd, long offset, int whence);
ssize_t sendfile(int out, int in, long *offset, size_t count);
void *memmem(const void *hay, size_t n, const void *needle, size_t m);
int link(const char *from, const char *to);
int prctl(int option, unsigned long a, unsigned long b, unsigned long c,
          unsigned long d);

struct daytona_statx_time { int64_t sec; uint32_t nsec; int32_t pad; };
struct daytona_statx {
  uint32_t mask, blksize;
  uint64_t attributes;
  uint32_t nlink, uid, gid;
  uint16_t mode, pad0;
  uint64_t ino, size, blocks, attributes_mask;
  struct daytona_statx_time atime, btime, ctime, mtime;
  uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
  uint64_t spare[14];
};
int statx(int dir, const char *path, int flags, unsigned int mask, void *buf);
]]

local C = ffi.C
local sys = {}

-- The values on Linux, the same for x86-64 and arm64.
sys.O_RDONLY, sys.O_WRONLY, sys.O_RDWR = 0, 1, 2
sys.O_CREAT, sys.O_EXCL, sys.O_NOCTTY = 64, 128, 256
sys.O_TRUNC, sys.O_APPEND, sys.O_NONBLOCK = 512, 1024, 2048
local O_CLOEXEC = 524288
local F_SETFD, F_GETFL, F_SETFL, F_SETPIPE_SZ = 2, 3, 4, 1031
local AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH = -100, 0x100, 0x1000
local STATX_BASIC = 0x7ff

for name, value in pairs(posix_errno) do
  if name:match "^E" and type(value) == "number" then
    sys[name] = value
  end
end

--- What an errno means, in the words the service uses.
---@param errno integer
---@return string  such as "no such file or directory"
function sys.strerror(errno)
  local text = posix_errno.errno(errno) or "errno " .. tostring(errno)
  return (text:gsub("^%u", string.lower))
end

--- A buffer of `size` bytes, collected by the garbage collector.
function sys.buffer(size)
  return ffi.new("char[?]", size)
end

-- Calls a function of the system until no signal interrupts it: its number, or nil and
-- the errno.
local function retry(call, ...)
  local n
  repeat
    n = tonumber(call(...))
  until n >= 0 or ffi.errno() ~= sys.EINTR
  if n < 0 then return nil, ffi.errno() end
  return n
end

--- Opens a file; children do not inherit it.
---@return integer? fd
---@return integer? errno
function sys.open(path, flags, mode)
  return retry(C.open, path, bit.bor(flags, O_CLOEXEC), ffi.cast("int", mode or 438))
end

function sys.close(fd)
  cqueues.cancel(fd)
  C.close(fd)
end

--- A pipe, both ends closed in children unless they are given one. Raises when
-- there are too many descriptors.
---@return integer read_end
---@return integer write_end
function sys.pipe()
  local fds = ffi.new "int[2]"
  if C.pipe2(fds, O_CLOEXEC) ~= 0 then
    error("pipe: " .. sys.strerror(ffi.errno()))
  end
  return fds[0], fds[1]
end

ffi.cdef "int socketpair(int domain, int type, int protocol, int *fds);"

--- Two connected stream sockets, both closed in children unless they are given
-- one. Raises when there are too many descriptors.
---@return integer ours
---@return integer theirs
function sys.socketpair()
  local AF_UNIX, SOCK_STREAM = 1, 1
  local fds = ffi.new "int[2]"
  if C.socketpair(AF_UNIX, SOCK_STREAM + O_CLOEXEC, 0, fds) ~= 0 then
    error("socketpair: " .. sys.strerror(ffi.errno()))
  end
  return fds[0], fds[1]
end

--- Makes a pipe hold a MiB, where the system allows it: fewer wake-ups for
-- commands that print much.
function sys.widen_pipe(fd)
  C.fcntl(fd, F_SETPIPE_SZ, ffi.cast("int", 1048576))
end

function sys.nonblock(fd)
  local flags = C.fcntl(fd, F_GETFL)
  C.fcntl(fd, F_SETFL, ffi.cast("int", bit.bor(flags, sys.O_NONBLOCK)))
end

function sys.cloexec(fd)
  C.fcntl(fd, F_SETFD, ffi.cast("int", 1))
end

--- Reads once into `buf`; 0 at the end of the file.
---@return integer? count
---@return integer? errno
function sys.read(fd, buf, size)
  return retry(C.read, fd, buf, size)
end

--- Writes once from `data` (a string or a pointer).
---@return integer? count
---@return integer? errno
function sys.write(fd, data, size)
  return retry(C.write, fd, data, size)
end

--- Writes all of `data` to a file or another descriptor that may block.
---@return boolean? ok
---@return integer? errno
function sys.write_all(fd, data, size)
  local at = type(data) == "string" and ffi.cast("const char *", data) or data
  local left = size
  while left > 0 do
    local n, errno = sys.write(fd, at, left)
    if not n then
      return nil, errno
    end
    at, left = at + n, left - n
  end
  return true
end

--- Waits in the loop until `fd` is ready for `events` ("r" or "w"), or until
-- `signal` (a condition) is signalled, or for `timeout` seconds.
---@return any  what became ready: a true value, or nil after the timeout
function sys.wait_fd(fd, events, timeout, signal)
  local waiter = { pollfd = fd, events = events }
  local ready
  if signal then
    ready = cqueues.poll(waiter, signal, timeout)
  else
    ready = cqueues.poll(waiter, timeout)
  end
  if ready == timeout then
    return nil
  end
  return ready
end

--- Writes all of a string to a descriptor that does not block, waiting in the
-- loop while it is full.
---@param fd integer
---@param text string
---@param stopped (fun(): boolean)?  true: give up, for the descriptor is closed
---@param signal any?  a condition, signalled when `stopped` may have changed
---@return boolean? ok
---@return integer? errno
function sys.feed(fd, text, stopped, signal)
  local at, left = ffi.cast("const char *", text), #text
  while left > 0 do
    if stopped and stopped() then return nil, sys.EPIPE end
    local n, errno = sys.write(fd, at, left)
    if n then
      at, left = at + n, left - n
    elseif errno == sys.EAGAIN then
      sys.wait_fd(fd, "w", nil, signal)
    else
      return nil, errno
    end
  end
  return true
end

local statx_buffer = ffi.new "struct daytona_statx"

local function statx(fd, path, flags)
  if C.statx(fd, path, flags, STATX_BASIC, statx_buffer) ~= 0 then
    return nil, ffi.errno()
  end
  local b = statx_buffer
  return {
    mode = b.mode, uid = b.uid, gid = b.gid, nlink = b.nlink,
    size = tonumber(b.size), ino = tonumber(b.ino),
    dev = b.dev_major .. ":" .. b.dev_minor,
    mtime = tonumber(b.mtime.sec), mtime_nsec = b.mtime.nsec,
    kind = bit.band(b.mode, 0xf000),
  }
end

sys.S_IFIFO, sys.S_IFCHR, sys.S_IFDIR, sys.S_IFBLK = 0x1000, 0x2000, 0x4000, 0x6000
sys.S_IFREG, sys.S_IFLNK, sys.S_IFSOCK = 0x8000, 0xa000, 0xc000

--- What a path leads to.
---@return table? info mode, kind (one of S_IF*), size, uid, gid, mtime, mtime_nsec, ino, dev
---@return integer? errno
function sys.stat(path)
  return statx(AT_FDCWD, path, 0)
end

--- As `stat`, of a symbolic link itself.
function sys.lstat(path)
  return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW)
end

function sys.fstat(fd)
  return statx(fd, "", AT_EMPTY_PATH)
end

ffi.cdef "ssize_t readlink(const char *path, char *to, size_t size);"

local link_buffer = ffi.new "char[4096]"

--- What a symbolic link says. (lua-posix refuses those in /proc, whose size is
-- not the length of their text.)
---@return string? target
---@return integer? errno
function sys.readlink(path)
  local n = tonumber(C.readlink(path, link_buffer, 4096))
  if n < 0 then return nil, ffi.errno() end
  return ffi.string(link_buffer, n)
end

--- Sends up to `count` bytes of file `from` at `offset` to the socket `to`.
---@return integer? sent
---@return integer? errno
function sys.sendfile(to, from, offset, count)
  local at = ffi.new("long[1]", offset)
  return retry(C.sendfile, to, from, at, count)
end

function sys.seek(fd, offset)
  return C.lseek(fd, offset, 0) >= 0
end

--- Where `needle` begins in `size` bytes at `hay`.
---@return integer? offset
function sys.find(hay, size, needle, needle_size)
  local at = C.memmem(hay, size, needle, needle_size)
  if at == nil then
    return nil
  end
  return tonumber(ffi.cast("const char *", at) - ffi.cast("const char *", hay))
end

ffi.cdef "struct daytona_winsize { unsigned short rows, cols, x, y; };"

--- Sets the size of a terminal.
---@return boolean? ok
---@return integer? errno
function sys.set_size(fd, cols, rows)
  local TIOCSWINSZ = 0x5414
  local size = ffi.new("struct daytona_winsize", { rows = rows, cols = cols })
  if C.ioctl(fd, TIOCSWINSZ, size) ~= 0 then
    return nil, ffi.errno()
  end
  return true
end

--- Makes orphans of this process's children its own children, so that they
-- can be reaped and, at the end, killed.
function sys.adopt_orphans()
  local PR_SET_CHILD_SUBREAPER = 36
  return C.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
end

ffi.cdef [[
int setgroups(size_t size, const unsigned *list);
int setresgid(unsigned real, unsigned effective, unsigned saved);
int setresuid(unsigned real, unsigned effective, unsigned saved);
int chmod(const char *path, unsigned mode);
struct daytona_rlimit { uint64_t soft, hard; };
int setrlimit(int resource, const struct daytona_rlimit *limit);
]]

--- Lets every user write in a folder, each to files of their own.
function sys.share(path)
  return C.chmod(path, 1023) == 0
end

--- Becomes a user and group without any other right, for good. To be called by root.
-- It ends when its parent does: the kernel forgets that when a process changes its user.
---@param id integer
---@return boolean? ok
---@return string? err
function sys.become(id)
  local PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, SIGKILL = 1, 24, 38, 9
  for capability = 0, 63 do C.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) end
  if C.setgroups(0, nil) ~= 0 or C.setresgid(id, id, id) ~= 0 or C.setresuid(id, id, id) ~= 0 then
    return nil, "cannot become user " .. id .. ": " .. sys.strerror(ffi.errno())
  end
  C.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
  C.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
  return true
end

--- Limits this process and all that it starts.
---@param limits { processes: integer?, file_size: number? }  threads are counted, too; bytes of one file
function sys.limit(limits)
  local RLIMIT_FSIZE, RLIMIT_CORE, RLIMIT_NPROC = 1, 4, 6
  local function set(resource, value)
    if value then C.setrlimit(resource, ffi.new("struct daytona_rlimit", value, value)) end
  end
  set(RLIMIT_NPROC, limits.processes)
  set(RLIMIT_FSIZE, limits.file_size)
  set(RLIMIT_CORE, 0)
end

--- Hides this process's memory, which holds the key, from others of the same
-- user. What it starts is not affected.
function sys.hide_memory()
  local PR_SET_DUMPABLE = 4
  return C.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
end

return sys
