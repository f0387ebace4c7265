---@meta daytona.core
-- The C module, described for editors and for readers. Nothing here runs.
--
-- `daytona.core` moves bytes; it knows neither Daytona nor JSON. Misuse raises;
-- what the world can cause is returned as a transport code (a short string,
-- see `daytona.core.Code`). All times are seconds, fractions allowed.

---@class daytona.core
---@field version string        of this module
---@field path? string          the file, when it came from a checkout's build folder
local core = {}

---How a transfer can end badly.
---@alias daytona.core.Code
---| "out_of_memory" | "bad_argument" | "timeout" | "connect_timeout"
---| "idle_timeout" | "canceled" | "resolve" | "connect" | "tls" | "reset"
---| "truncated" | "protocol" | "too_large" | "sink" | "source" | "forked"
---| "internal"

---"libcurl/7.88.1 OpenSSL/3.0.15 ..."
---@return string
function core.curl_version() end

---Monotonic clock, seconds.
---@return number
function core.now() end

---The process id, for noticing a fork.
---@return integer
function core.pid() end

---A text that no other call gives, in any process: hexadecimal digits, a hyphen,
---decimal digits and a dot. None of them is a part of another.
---@return string
function core.unique() end

---`n` bytes from the system's random source (1 to 256).
---@param n integer
---@return string
function core.random(n) end

---What a local path leads to, through links; nil and why when it cannot be seen.
---@param path string
---@return "file"|"directory"|"other"|nil, string?
function core.file_type(path) end

---Whether who writes to an open file may have to wait until somebody reads: it is a pipe,
---a socket or a terminal.
---@param file file*
---@return boolean
function core.may_block(file) end

---Lua's file goes on where its descriptor is, to which a transfer has written. Does nothing
---where there is no position, and with a closed file.
---@param file file*
function core.catch_up(file) end

---The absolute path without links; nil and why when there is nothing.
---@param path string
---@return string?, string?
function core.real_path(path) end

---What a path leads to: its type, bytes, permissions (0 to 4095) and when it was
---changed last, in seconds and nanoseconds. nil and why when it cannot be seen.
---`lstat` does not follow a link.
---@param path string
---@return "file"|"directory"|"other"|nil
---@return integer|string size
---@return integer mode
---@return integer seconds
---@return integer nanoseconds
function core.stat(path) end
---@param path string
---@return "file"|"directory"|"link"|"other"|nil
---@return integer|string size
---@return integer mode
---@return integer seconds
---@return integer nanoseconds
function core.lstat(path) end

---The names in a directory, in no order; nil and why.
---@param path string
---@return string[]?, string?
function core.list_directory(path) end

---True, or nil and why. A mode is a number; the umask applies to `make_directory`.
---@param path string
---@param mode integer
---@return true?, string?
function core.make_directory(path, mode) end
---@param path string
---@param mode integer
---@return true?, string?
function core.change_mode(path, mode) end

---Sets when a file, or a link itself, was changed and read.
---@param path string
---@param seconds integer
---@param nanoseconds? integer
---@return true?, string?
function core.set_times(path, seconds, nanoseconds) end

---Where a symbolic link leads; nil and why.
---@param path string
---@return string?, string?
function core.read_link(path) end
---Makes a symbolic link.
---@param target string
---@param path string
---@return true?, string?
function core.make_link(target, path) end

---True when `s` is valid UTF-8 (no surrogates, nothing above U+10FFFF).
---@param s string
---@return boolean
function core.is_utf8(s) end

---Whether the calling coroutine can yield here; nil where Lua does not know (5.1,
---5.2). Hosts may have put functions of their own in `coroutine`; this is Lua's word.
---@return boolean?
function core.is_yieldable() end

---Waits until standard input (a pipe or a file) has something to read or has ended,
---`fd` (-1: none) is readable, a signal came or the time is over (nil: no limit).
---Whether the first is the case.
---@param fd integer
---@param seconds? number
---@return boolean
function core.input_wait(fd, seconds) end

---What standard input has, 64 KiB at most; blocks when that is nothing. nil at the
---end; nil and why.
---@return string?
---@return string? message
function core.input_read() end

---Whether Ctrl-C has a handler in this process that raises. The standalone
---interpreter's gives the signal its default action back before it does.
---@return boolean
function core.catches_interrupts() end

---Takes part in what Ctrl-C does, where it has a handler: after the interpreter's, which
---runs first and gives the default action back, `be_patient` is done at once.
function core.follow_interrupts() end

---The program was interrupted, and cleans up: the next Ctrl-C (or signal of a trap) is
---held, and what `cleaning` has set is told; the one after that ends the process.
function core.be_patient() end

---What is to be said on stderr when a signal is held, and when the next one ends the
---process; "" for nothing. Whether one is held that nothing was said for.
---@param telling string
---@param leaving string
---@return boolean held
function core.cleaning(telling, leaving) end

---Says now what a held signal would make it say, if it was not said.
function core.tell() end

---Makes SIGTERM, SIGHUP and SIGPIPE raise "ended by SIGTERM" in the main thread, once;
---those that are ignored stay ignored. False in a coroutine of PUC 5.1 or LuaJIT.
---@return boolean
function core.trap() end

---The name of the signal that the trap raised for, nil before.
---@return string?
function core.struck() end

---Has fn called when the state is closed after a signal has raised: at first, when all is
---there still. Once a state.
---@param fn fun()
function core.at_end(fn) end

---Something that its caller is to end is being returned: until the next wait, or for a
---thousand instructions, no signal raises.
function core.hand_over() end

---Whether a signal has raised in the main thread since this was asked last.
---@return boolean
function core.unheard() end

---Gives an object a field for each name in `metas`, raw: a new table { object } with that
---metatable. Each of many objects gets a dozen of them.
---@param object table
---@param metas table<string, table>
function core.stubs(object, metas) end

---A text as a JSON string, quotes included; nil when it is not valid UTF-8.
---@param s string
---@return string?
function core.json_string(s) end

---Joins `before`, the text, `middle`, a new `core.unique()` and `after`. The text is
---written as it stands between single quotes of a shell and in a JSON string; the
---others are taken as they are. nil when the text is no string, blank, or holds NUL or what
---is not UTF-8.
---@param before string
---@param text string
---@param middle string
---@param after string
---@return string?
function core.json_command(before, text, middle, after) end

---Tidies what a decoder made of a JSON text, in place, and returns it: fields of objects that
---are `null` go away (items of arrays stay), whole floats become integers where Lua has them.
---@generic T
---@param value T
---@param null any  what the decoder makes of null
---@return T
function core.json_tidy(value, null) end

---The number and the string of a JSON object that has just these two fields, in
---this order. nil for all that is not of the plainest form, whatever it is.
---@param json string
---@param number string  the name of the first
---@param text string    the name of the second
---@return integer?
---@return string?
function core.json_pair(json, number, text) end

---Reads any JSON text, or what a transfer that is over brought, in pieces: as `json.decode`
---would, or not at all. nil when the transfer brought nothing.
---@param source string|daytona.core.Transfer
---@param null any  what stands for null in lists
---@return daytona.core.JsonReader?
function core.json_reader(source, null) end

---@class daytona.core.JsonReader : userdata
local JsonReader = {}

---Reads on: what costs as much as so many bytes of a string. True and the value at its end;
---false when there is more, and whether a large string is next, which takes a while to be
---made; nil when it is not JSON, or such as is left to others.
---@param most integer
---@return boolean?
---@return any value
function JsonReader:read(most) end

---SHA-256 and HMAC-SHA-256 as 32 bytes.
---@param s string
---@return string
function core.sha256(s) end
---@param key string
---@param s string
---@return string
function core.hmac_sha256(key, s) end

---SHA-256 of what comes in pieces.
---@return daytona.core.Sha256
function core.hash() end

---A gzip stream of what comes in pieces; levels are 0 (stored as it is) to 9.
---@param level integer
---@return daytona.core.Packer
function core.packer(level) end

---Takes a gzip stream apart that comes in pieces.
---@return daytona.core.Unpacker
function core.unpacker() end

---Two lower-case digits a byte.
---@param s string
---@return string
function core.hex(s) end

---Base64; with `url` in the alphabet of URLs, without padding.
---@param data string
---@param url? boolean
---@return string
function core.base64(data, url) end

---Decodes base64 of either alphabet, padded or not. nil when it is malformed.
---@param text string
---@return string?
function core.unbase64(text) end

---Takes session logs apart into standard output (1) and standard error (2).
---The bytes before the first prefix are dropped, or handed out as stream 0.
---@param keep_unlabelled? boolean
---@return daytona.core.Demux
function core.demux(keep_unlabelled) end

---Reads a body of this Content-Type; nil, "protocol" and a text when it is not
---multipart or has no usable boundary.
---@param content_type string
---@return daytona.core.Multipart?
---@return daytona.core.Code? code
---@return string? message
function core.multipart(content_type) end

---The terminal of standard input; nil and a text when that is none.
---@return daytona.core.Terminal?
---@return string? message
function core.terminal() end

---@class daytona.core.Packer : userdata
local Packer = {}

---Adds to the stream. What there is of it by now, which may be "".
---@param data string
---@param level? integer  from here on
---@return string
function Packer:write(data, level) end

---The rest of the stream; nothing can be added any more.
---@return string
function Packer:finish() end

---@class daytona.core.Unpacker : userdata
local Unpacker = {}

---What the next part of the stream unpacks to, which may be ""; nil and a text when it is none.
---@param data string
---@return string?
---@return string? message
function Unpacker:write(data) end

---Whether the stream ended with what was written last.
---@return boolean
function Unpacker:is_over() end

---Also `__gc` and `__close`.
function Unpacker:close() end

---@class daytona.core.Terminal : userdata
local Terminal = {}

---Into raw mode: keys come one by one, nothing is echoed or interpreted, and
---`wait` notices changes of the size. true, or nil and a text. Idempotent.
---@return true?
---@return string? message
function Terminal:raw() end

---As it was before `raw`. Idempotent; also `close`, `__gc` and `__close`.
function Terminal:restore() end

---Columns and rows; nil and a text when they are not known.
---@return integer? cols
---@return integer|string rows
function Terminal:size() end

---Waits until the descriptor `fd` is readable, the size changed, a key was pressed
---(unless `input` is false) or `seconds` (nil: for ever) are over. Whether there
---is input, and whether the size changed. Blocks.
---@param fd integer
---@param seconds? number
---@param input? boolean
---@return boolean input
---@return boolean resized
function Terminal:wait(fd, seconds, input) end

---What was typed ("" when there is nothing after all); nil at the end; nil and a
---text.
---@return string?
---@return string? message
function Terminal:read() end

---@class daytona.core.Sha256 : userdata
---A finished one raises.
local Sha256 = {}

---@param s string
---@return daytona.core.Sha256 itself
function Sha256:update(s) end

---Takes in up to `most` bytes of an open file (nil: all that follow). How many
---there were, 0 at the end; nil and a text when reading failed. Blocks as any
---reading of a file does, so ask for a few megabytes at a time between waits.
---@param file file*
---@param most? integer
---@return integer?
---@return string? message
function Sha256:read(file, most) end

---@return string digest  32 bytes
function Sha256:finish() end

---@class daytona.core.Demux : userdata
local Demux = {}

---Takes a chunk apart, cut from the log anywhere. Fills `into[1..n]` with
---stream, bytes, stream, bytes, ... in order (neighbours differ in stream) and
---returns n; what else `into` holds is left there. Of the chunk's end one or
---two bytes may be held back, until it is known whether a prefix begins there.
---@param chunk string
---@param into table
---@return integer n
function Demux:feed(chunk, into) end

---The log is over: hands out, as data, what was held back.
---@param into table
---@return integer n
function Demux:finish(into) end

---Takes `most` further bytes of a text apart, which is the same each time, and keeps what they
---hold. Whether that was the end of it.
---@param text string
---@param most integer
---@return boolean
function Demux:gather(text, most) end

---What was gathered of a stream; with 0 of both, in the order of the text.
---@param stream integer
---@return string
function Demux:gathered(stream) end

---@class daytona.core.Multipart : userdata
local Multipart = {}

---@class daytona.core.PartHeaders  Nothing in it is to be trusted.
---@field name? string
---@field filename? string  of filename*, else filename, as UTF-8 (or any bytes)
---@field type? string
---@field length? integer   announced; the part may have another one

---Takes a chunk apart, cut from the body anywhere. Fills `into[1..n]` with what
---happened and its value, again and again, and returns n: "part" and its
---`daytona.core.PartHeaders`, "data" and bytes, "part_end" and whether its
---length was as announced (else its file changed while it was sent: fetch it
---again), "end" and true. After a failure the code and a text follow n.
---@param chunk string
---@param into table
---@return integer n
---@return daytona.core.Code? code  "protocol" or "too_large"
---@return string? message
function Multipart:feed(chunk, into) end

---The body is over: true, or nil, "truncated" and a text when the closing
---boundary was missing, or the code of `feed`.
---@return true?
---@return daytona.core.Code? code
---@return string? message
function Multipart:finish() end

---Frees. Idempotent; also `__gc` and `__close`.
function Multipart:close() end

---Makes an engine. Raises when memory or descriptors run out.
---With `through_libcurl` (by default where DAYTONA_THROUGH_LIBCURL is in the environment) every
---request goes over libcurl's connections; else small ones without TLS and proxy go over the
---engine's own, which costs less.
---@param opts? { max_connections?: integer, through_libcurl?: boolean }  connections per origin, 256 by default
---@return daytona.core.Engine
function core.new(opts) end

---What many requests have in common. Raises on CR, LF or control characters.
---Who gives `ca_file` or `ca_path` trusts what is in there, and nobody else; without
---both the system's authorities are trusted.
---@param opts { headers?: string[], user_agent?: string, proxy?: string, no_proxy?: string, ca_file?: string, ca_path?: string, client_cert?: string, client_key?: string, insecure?: boolean, http1?: boolean, packed?: boolean }
---@return daytona.core.Profile
function core.profile(opts) end

---What many small requests have in common, see `Engine:exchange`. nil when a text
---holds NUL; other forbidden characters are met by the exchange.
---@param profile daytona.core.Profile
---@param method string
---@param url string
---@param header? string           one further "Name: value" line
---@param connect_timeout? number
---@param number? string           the name of a field of the answer, and
---@param text? string             of another
---@return daytona.core.Call?
function core.call(profile, method, url, header, connect_timeout, number, text) end

---@class daytona.core.Call : userdata
local Call = {}

---What `Engine:exchange` would have returned, had it waited until now: the answer of
---2xx, and then the transfer is closed; nothing when it is not over or went otherwise. A
---long answer is read in pieces, one each time: false when there is more of it, and whether
---only the string is still to be made, which takes a while.
---@param transfer daytona.core.Transfer
---@return integer|false|nil status
---@return string|integer|boolean|nil body_or_number
---@return string? text
function Call:take(transfer) end

---@class daytona.core.Profile : userdata
local Profile = {}

---Transfers that use it keep what they need. Idempotent; also `__gc` and `__close`.
function Profile:close() end

---@class daytona.core.Engine : userdata
---A closed engine raises on every method but `close`.
local Engine = {}

---The descriptor that becomes readable when there is something to do.
---@return integer
function Engine:fd() end

---Seconds until `step` must be called anyway, nil for never.
---@return number?
function Engine:timeout() end

---Does what is ready, never blocks. Returns the events since the last call as
---a flat array `{ id, what, id, what, ... }`, or nil when there are none.
---`what` is a sum of `core.HEADERS` 1, `READABLE` 2, `WRITABLE` 4,
---`PROGRESS` 8, `DONE` 16.
---@param budget? number  seconds this may take at most, about
---@return integer[]?
function Engine:step(budget) end

---Waits for at most `seconds` (nil: without limit), then as `step`. It may
---return earlier without events. A signal ends the wait, and the second result is
---then true; so does a Ctrl-C that came just before.
---@param seconds? number
---@return integer[]?, boolean?
function Engine:poll(seconds) end

---One deadline of the caller's own on the `core.now` clock, merged into
---`fd`, `timeout` and `poll`; nil removes it.
---@param when? number
function Engine:alarm(when) end

---A doorbell for hosts that cannot watch `fd`; nil and why when there is no place
---for its socket. Never before a fork.
---@return daytona.core.Doorbell?
---@return string? message
function Engine:doorbell() end

---False in a child after a fork: make a new engine then, and `abandon` this.
---@return boolean
function Engine:is_ours() end

---Lets go of an engine inherited through a fork, disturbing nobody. `step`,
---`poll` and `start` on such an engine raise, or (start) return nil, "forked".
function Engine:abandon() end

---@return { polls: integer, steps: integer, started: integer, finished: integer, connects: integer, running: integer, queued: integer }
function Engine:stats() end

---Ends everything. Idempotent; also `__gc` and `__close`.
function Engine:close() end

---A thread that writes a byte to a unix socket when the engine's descriptor is
---readable. It touches nothing else, takes no signals, and sleeps unless armed.
---@class daytona.core.Doorbell : userdata
local Doorbell = {}

---Where the host connects to, once, before `open`.
---@return string
function Doorbell:path() end

---Takes the connection, removes the path and starts the thread. Never blocks. nil
---and why when there is no connection or no thread.
---@return true?
---@return string? message
function Doorbell:open() end

---Whether the host still holds the connection.
---@return boolean
function Doorbell:is_open() end

---Asks for one byte, once there is something to do or `seconds` have passed (nil:
---no limit). False when the host has closed the connection.
---@param seconds? number
---@return boolean
function Doorbell:arm(seconds) end

---Ends the thread. Idempotent; also `__gc` and `__close`.
function Doorbell:close() end

---@class daytona.core.Part
---@field name string
---@field filename? string
---@field type? string
---@field data? string      content from memory, or
---@field file? file*       from an open Lua file's current position, or
---@field queue? boolean    from `Transfer:write`
---@field length? integer   of a file or queue part, when known

---Of a file the descriptor is duplicated: Lua may close its own meanwhile. What
---Lua has buffered is flushed first.
---@class daytona.core.Request
---@field url string
---@field method? string               GET
---@field headers? string[]            further "Name: value" lines
---@field profile? daytona.core.Profile
---@field body? string                 from memory
---@field body_file? file*             from an open file's current position
---@field body_queue? boolean          from `Transfer:write`
---@field body_length? integer         of body_file or body_queue, when known
---@field parts? daytona.core.Part[]   multipart/form-data
---@field sink_file? file*             2xx bodies go here
---@field sink_queue? boolean          2xx bodies come out of `Transfer:read`
---@field max_bytes? integer           cap of the body
---@field connect_timeout? number
---@field timeout? number              total, from now
---@field idle_timeout? number
---@field progress? boolean            report PROGRESS events
---@field timing? boolean              `Transfer:timing` is wanted
---@field sigv4? string                "aws:amz:REGION:SERVICE": signed as AWS has it, over all of `headers`, with
---@field user? string                 the key's id and
---@field password? string             the secret key

---Starts a transfer. Returns it and its id. Raises on a malformed request;
---returns nil and a message that names the culprit when the URL (which holds no
---user and password), method or a header holds a forbidden character; and the system's
---error number as well when there is no descriptor left for one of its files. The path
---is sent as it is, dots and all.
---@param request daytona.core.Request
---@return daytona.core.Transfer?, integer|string, integer? errno
function Engine:start(request) end

---A request from memory to memory without a table: starts it, and waits for its
---end for at most `wait` seconds (0: not at all), until a signal comes or something
---else happens. For short waits: a Ctrl-C that comes just before is noticed after.
---
---When an answer of 2xx came: its status and its body; where that is a JSON object
---of just the two fields that the call names, in the plainest form, instead of it
---the number and the text in them. Else `out[1]` is the transfer and `out[2]` its
---id, and it returns nil and whether it is over (its events are taken then).
---Nothing at all when `start` is to say why not. Raises on arguments of the wrong
---type.
---
---With a `wait` below 0 the transfer is for a host that carries its bytes itself, if it is one
---that can be carried (from memory to memory, no proxy, nothing of its own about
---certificates): the third result is then true, and the rest is the carrier's, see
---Transfer:origin, compose, feed and cut.
---@param out table
---@param wait number
---@param call daytona.core.Call
---@param body? string
---@param timeout? number          as of daytona.core.Request; 0 is none
---@param max_bytes? integer
---@return integer? status
---@return string|integer|boolean|nil body_or_number_or_over
---@return string? text
function Engine:exchange(out, wait, call, body, timeout, max_bytes) end

---@class daytona.core.WebSocketOptions
---@field url string                   ws, wss, http or https
---@field headers? string[]            further "Name: value" lines
---@field protocols? string            offered, "a, b"; the server may select none
---@field profile? daytona.core.Profile
---@field max_message? integer         bytes; a larger one fails with "too_large"
---@field stream? boolean              hand out messages in pieces, as they come
---@field connect_timeout? number      until connected
---@field open_timeout? number         until the answer to the opening
---@field timeout? number              total, from now
---@field idle_timeout? number
---@field ping_interval? number        at its multiples (those of all sockets fall
---together) a peer is pinged that was silent for a quarter of it; if nothing comes
---until the next one: "idle_timeout"
---@field patient? boolean             before anything came from the peer no ping needs an answer
---@field close_timeout? number        for the other side's part of closing, 5 s

---Starts opening a WebSocket. Returns it and its id (in the numbers of
---transfers). Raises on malformed options; returns nil and a message that names
---the culprit when the URL or a header cannot be used.
---
---Its events: HEADERS when it is open, READABLE when `receive` has something,
---WRITABLE when `send` takes messages again, DONE.
---@param options daytona.core.WebSocketOptions
---@return daytona.core.WebSocket?, integer|string
function Engine:open(options) end

---@class daytona.core.WebSocket : userdata
local WebSocket = {}

---@return integer
function WebSocket:id() end

---True from HEADERS to DONE.
---@return boolean
function WebSocket:is_open() end

---When (as `core.now`) anything first came since it was opened, were it the answer
---to a ping; nil: nothing yet.
---@return number?
function WebSocket:heard() end

---The next message, whether it is text, and whether it ends here (always, if
---not streaming); nil when there is none yet; false when none will come; nil,
---code, message when the connection failed (after all earlier messages).
---@return string|false|nil, boolean|string|nil, boolean|string|nil
function WebSocket:receive() end

---Offers a binary message, or one of text (which must be UTF-8); also before
---it is open. true when taken, false when too much is waiting (wait for
---WRITABLE), nil, code, message when it is closing or over.
---@param data string
---@param text? boolean
---@return boolean?, string?, string?
function WebSocket:send(data, text) end

---Closes properly, behind what was sent; messages that still come are dropped.
---DONE follows. Raises on a code that must not be sent and on a reason of more
---than 123 bytes. One that is not open yet is cancelled.
---@param code? integer    1000; 0 for a close frame without code
---@param reason? string
function WebSocket:finish(code, reason) end

---After DONE. Closed properly: the peer's close code (1005: none) and reason.
---Refused: false, the status and the body (at most 64 KiB) of the answer to the
---opening. A failure: nil, code, message, errno; "reset" is a connection that
---ended without a close frame. Before DONE: nil.
---@return integer|false|nil, string|integer|nil, string?, integer?
function WebSocket:result() end

---The status of the answer to the opening, as soon as it is known.
---@return integer?
function WebSocket:status() end

---Headers of that answer, as `Transfer:header` and `Transfer:headers`.
---@param name string
---@return string?
function WebSocket:header(name) end
---@return table<string, string>
function WebSocket:headers() end

---Bytes received and sent on the wire after the opening, and bytes waiting.
---@return integer, integer, integer
function WebSocket:progress() end

---As `Transfer:trace`.
---@return boolean sent, boolean answered, boolean reused, number seconds
function WebSocket:trace() end

---Ends the connection at once with code "canceled" unless it is over, without
---a close frame. Never blocks.
function WebSocket:cancel() end

---Cancels and frees. Idempotent; also `__gc` and `__close`.
function WebSocket:close() end

---@class daytona.core.Transfer : userdata
local Transfer = {}

---@return integer
function Transfer:id() end

---After DONE. An answer of any status: the status, the collected body ("" when
---it went to a file or a queue); of one of 2xx with a body of more than `most` bytes, the
---status, nil and the start of that. A failure: nil, code, message, errno (0 when there is none). Before DONE: nil.
---@param most? integer
---@return integer? status, string? body_or_code, string? message, integer? errno
function Transfer:result(most) end

---The HTTP status as soon as it is known.
---@return integer?
function Transfer:status() end

---A header of the final answer, by case-insensitive name; several of one name
---are joined with ", ".
---@param name string
---@return string?
function Transfer:header(name) end

---All headers of the final answer, by lower-case name.
---@return table<string, string>
function Transfer:headers() end

---The next chunk; nil when there is none yet; false at the end of the body;
---nil, code, message when the transfer failed (after all earlier bytes).
---@return string|false|nil, string?, string?
function Transfer:read() end

---Writes the next chunk, from its byte `from` on, to a file that may have to wait until somebody
---reads; a signal ends the wait. What Lua has buffered is flushed first. Returns from where to go
---on: 0 with the next chunk, more where a part is left. Nothing when there is no chunk, for which
---`result` or the next event says why; nil, message, errno when it cannot be written.
---@param file file*
---@param from integer
---@return integer?, string? message, integer? errno
function Transfer:pour(file, from) end

---Offers bytes to the body queue: true when taken, false when the queue is
---full (wait for WRITABLE), nil and a code when the transfer is over.
---@param data string
---@return boolean?, string?
function Transfer:write(data) end

---Ends the body queue.
function Transfer:finish() end

---Bytes received, announced (nil: unknown), sent, announced.
---@return integer, integer?, integer, integer?
function Transfer:progress() end

---Whether a part of the request left or may have, over whatever connection (false is
---certain); a byte of the answer arrived; an existing connection was used; and the
---seconds from start to end (or to now).
---@return boolean sent, boolean answered, boolean reused, number seconds
function Transfer:trace() end

---Of a transfer that asked for `timing`, after DONE: the seconds from the start of its last
---request to the name's address, the connection, the end of TLS, the first byte of the
---answer and the end; 0 for what did not happen. Nothing otherwise.
---@return number? dns, number? connect, number? tls, number? first_byte, number? total
function Transfer:timing() end

---Of a transfer that the host carries: where to, as "http://host:port" in lower case, and its
---connect_timeout (0: none).
---@return string origin
---@return number connect_timeout
function Transfer:origin() end

---The head of its request, to be sent at once with the body behind it: it counts as sent.
---Nothing when it is not to be carried any more.
---@param reused boolean  the connection has carried a request before
---@return string? head
function Transfer:compose(reused) end

---Gives it what came from the peer. Nothing while there is more to come; else it is over and
---no event tells of that: "keep" when the connection can carry another request, or "close".
---@param data string
---@return "keep"|"close"|nil verdict
function Transfer:feed(data) end

---Its connection is no more, or was not to be had. "close" when that is the transfer's end;
---"back" when libcurl has it now: nothing had left, or another try is harmless.
---@return "close"|"back" verdict
function Transfer:cut() end

---No connection was had within its connect_timeout: that is its end.
function Transfer:late() end

---Whether it waits for its carrier, or for what that is to bring.
---@return boolean
function Transfer:wants_carrier() end

---Ends the transfer with code "canceled" unless it is over. Never blocks.
function Transfer:cancel() end

---Cancels and frees. Idempotent; also `__gc` and `__close`.
function Transfer:close() end

return core
