-- Errors: the one place that says what went wrong, and of what kind it is.
--
-- What the world can cause is an error object, returned as `nil, err`; misuse
-- is raised as a string at the line of the caller. What an answer or a broken
-- transfer means is said in http/failure.lua.

local errors = {}

---@alias daytona.ErrorKind
---| "timeout" | "canceled" | "connection" | "tls" | "protocol" | "too_large"
---| "io" | "auth" | "forbidden" | "not_found" | "conflict" | "gone" | "invalid"
---| "rate_limited" | "unavailable" | "server" | "process_timeout" | "exit"
---| "state" | "unsupported" | "task" | "config" | "budget" | "internal"

---What every failing call returns as its second value.
---@class daytona.Error
---@field kind daytona.ErrorKind  short and stable, to decide by
---@field message string          for people; never holds a secret
---@field status? integer         HTTP status
---@field code? string            finer than kind: "reset", "GIT_AUTH_FAILED", ...
---@field source? string          who said it: "DAYTONA_API", "DAYTONA_DAEMON", ...
---@field operation? string       "create", "exec", ...
---@field what? string            what it was done to: a path, a name
---@field sandbox? daytona.Sandbox|string  the sandbox (its id where only that is known)
---@field state? string          of a wait for a state: the last one that was seen
---@field snapshot? daytona.Snapshot  of making one: what there is of it
---@field retryable boolean       trying again later may help
---@field retry_after? number     seconds the service asks to wait
---@field sent? boolean           where no answer came: false when nothing of the request left this machine,
---true when it may have been carried out
---@field headers? table<string, string>  of the answer; any letter case
---@field request_id? string      to quote to the service's support
---@field body? string            the start of the answer's body
---@field cause? any              the error behind this one
---@field errno? integer          the system's error number, when there is one
---@field exit_code? integer      kind "exit": of the command
---@field result? string          kind "exit": what it printed
---@field results? table[]        of a call about many: what became of each
---@field traceback? string       kind "task": where the function raised
---@field trace? daytona.Trace    with `trace`: how it came to this
local Error = {}
Error.__index = Error
Error.__name = "daytona.Error"

local function name_of(sandbox)
  if type(sandbox) ~= "table" then return sandbox end
  return rawget(sandbox, "name") or rawget(sandbox, "id")
end

---One line: "operation on what: message (kind, status, code)".
---@private
function Error:__tostring()
  local head = {}
  if self.operation then head[#head + 1] = self.operation end
  local what = self.what or name_of(self.sandbox)
  if what then
    if self.operation then head[#head + 1] = "on" end
    head[#head + 1] = tostring(what)
  end
  local tail = { self.kind }
  if self.status then tail[#tail + 1] = string.format("%d", self.status) end
  if self.code and self.code ~= self.kind then tail[#tail + 1] = tostring(self.code) end
  local text = self.message .. " (" .. table.concat(tail, ", ") .. ")"
  if head[1] then text = table.concat(head, " ") .. ": " .. text end
  return require("daytona.base.printable").line(text)
end

---@private
function Error.__concat(a, b)
  return tostring(a) .. tostring(b)
end

-- Kinds that a later try may find gone.
local TRANSIENT = {
  timeout = true, connection = true, rate_limited = true, unavailable = true,
}

---Makes an error object of `fields` (see daytona.Error; `kind` and `message`
---are needed). `fields` becomes the object. Its message is redacted, with the
---help of `secrets`, a list of texts that is not kept.
---@param fields table
---@return daytona.Error
function errors.new(fields)
  local redact, printable = require "daytona.base.redact", require "daytona.base.printable" -- with the first error
  local secrets = fields.secrets
  fields.secrets = nil
  fields.message = printable.text(redact(fields.message or fields.kind, secrets), "[\r\n\t]")
  if type(fields.what) == "string" then fields.what = printable.text(redact(fields.what, secrets)) end
  if type(fields.cause) == "string" then fields.cause = redact(fields.cause, secrets) end
  if fields.retryable == nil then fields.retryable = TRANSIENT[fields.kind] or false end
  return setmetatable(fields, Error)
end

-- What also counts as another kind: by kind, and by the beginning of a code.
local ALSO = { process_timeout = "timeout" }
local FAMILIES = {
  git = "^GIT_", file = "FILE_", lsp = "^LSP_", process = "^PROCESS_",
}

---Whether `e` is an error of this library and, with `kind`, whether it is of
---that kind, of that family ("git", "file", "lsp", "process"), or has that code.
---@param e any
---@param kind? string
---@return boolean
function errors.is(e, kind)
  if getmetatable(e) ~= Error then return false end
  if kind == nil or e.kind == kind or e.code == kind or ALSO[e.kind] == kind then return true end
  if kind == "connection" and e.code == "connect_timeout" then return true end
  local family = FAMILIES[kind]
  return family ~= nil and type(e.code) == "string" and e.code:find(family) ~= nil
end

--- Raising ---------------------------------------------------------------------

---Raises a formatted string that points at the line outside this library from
---which the call came, however deep inside the library the mistake is noticed. Where
---a task's function has left no line, its own is named.
---@param level integer  1: the function that calls misuse may itself be outside; more: skip so many
---@param fmt string
---@param ... any
function errors.misuse(level, fmt, ...)
  local raise = require("daytona.base.misuse").raise
  raise(level, fmt, ...)
end

---Raises a text at the line outside this library that is on its way there.
---@param text string
function errors.raise_outside(text)
  local raise = require("daytona.base.misuse").raise
  raise(1, "%s", text)
end

local needs_string = _VERSION == "Lua 5.1" and not rawget(_G, "jit")

---Raises an error that was caught. nginx logs an object that nobody catches as "unknown
---reason": there it is raised as text.
---@param err any
function errors.raise_again(err)
  if getmetatable(err) == Error and rawget(_G, "ngx") and not require("daytona.base.misuse").is_caught() then
    err = tostring(err)
  end
  error(err, 0)
end

---Raises an error object, for iterators, as `errors.assert` does.
---@param err any
function errors.raise(err)
  if needs_string then err = tostring(err) end
  errors.raise_again(err)
end

---Like `assert`, for errors of this library: raises `err` itself, or a string
---on PUC Lua 5.1, which cannot show anything else.
---@generic T
---@param value? T
---@param err? any
---@param ... any
---@return T
---@return any ...
function errors.assert(value, err, ...)
  if value then return value, err, ... end
  if err == nil then err = "assertion failed!" end
  errors.raise(err)
end

return errors
