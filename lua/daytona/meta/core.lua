---@meta daytona.core
-- The C module, described for editors and for readers. Nothing here runs.
--
-- `daytona.core` moves bytes; it knows neither Daytona nor JSON. Misuse raises;
-- what the world can cause is returned as a transport code (a short string,
-- see `daytona.core.Code`). All times are seconds, fractions allowed.

---@class daytona.core
---@field version string        of this module
---@field curl_version string   "libcurl/7.88.1 OpenSSL/3.0.15 ..."
local core = {}

---How a transfer can end badly.
---@alias daytona.core.Code
---| "out_of_memory" | "bad_argument" | "timeout" | "connect_timeout"
---| "idle_timeout" | "canceled" | "resolve" | "connect" | "tls" | "reset"
---| "truncated" | "protocol" | "too_large" | "sink" | "source" | "forked"
---| "internal"

---Monotonic clock, seconds.
---@return number
function core.now() end

---The process id, for noticing a fork.
---@return integer
function core.pid() end

---`n` bytes from the system's random source (1 to 256).
---@param n integer
---@return string
function core.random(n) end

---True when `s` is valid UTF-8 (no surrogates, nothing above U+10FFFF).
---@param s string
---@return boolean
function core.is_utf8(s) end

---Makes an engine. Raises when memory or descriptors run out.
---@param opts? { max_connections?: integer }  per origin, 256 by default
---@return daytona.core.Engine
function core.new(opts) end

---What many requests have in common. Raises on CR, LF or control characters.
---@param opts { headers?: string[], user_agent?: string, proxy?: string, no_proxy?: string, ca_file?: string, ca_path?: string, client_cert?: string, client_key?: string, insecure?: boolean, http1?: boolean }
---@return daytona.core.Profile
function core.profile(opts) end

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

---Starts a transfer. Returns it and its id. Raises on a malformed request;
---returns nil and a message that names the culprit when the URL, method or a
---header holds a forbidden character.
---@param request daytona.core.Request
---@return daytona.core.Transfer?, integer|string
function Engine:start(request) end

---@class daytona.core.Transfer : userdata
local Transfer = {}

---@return integer
function Transfer:id() end

---After DONE. An answer of any status: the status, the collected body ("" when
---it went to a file or a queue). A failure: nil, code, message, errno (0 when
---there is none). Before DONE: nil.
---@return integer? status, string? body_or_code, string? message, integer? errno
function Transfer:result() end

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

---Whether a part of the request left, a byte of the answer arrived, an existing
---connection was used; and the seconds from start to end (or to now).
---@return boolean sent, boolean answered, boolean reused, number seconds
function Transfer:trace() end

---Ends the transfer with code "canceled" unless it is over. Never blocks.
function Transfer:cancel() end

---Cancels and frees. Idempotent; also `__gc` and `__close`.
function Transfer:close() end

return core
