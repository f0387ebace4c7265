-- A model that only knows one task: for trying an agent without a key. It speaks the Responses
-- API, writes a program with a mistake, runs it, repairs it, and says what it printed.
--
--   luajit examples/scripted_model.lua       prints OPENAI_BASE_URL, ends with its reader
--
-- LuaJIT with cqueues and lua-cjson, as the local server. `scripts/demo-agent` uses it.

local cjson = require "cjson"
local cqueues = require "cqueues"
local socket = require "cqueues.socket"

-- Seconds between two words.
local PAUSE = tonumber(os.getenv "PAUSE" or "0.03")

--- What it does -----------------------------------------------------------------------------

local PROGRAM = [[
def primes(n):
    return [i for i in range(2, n) if all(i % d for d in range(3, i))]

assert primes(5) == [2, 3], primes(5)
print("primes below 30:", *primes(30))
]]

-- What it does when so many results have come.
local STEPS = {
  [0] = { say = "I write the program, with a check of its own. ",
    call = "write", arguments = { path = "primes.py", content = PROGRAM } },
  { say = "Now it runs. ", call = "bash", arguments = { command = "python3 primes.py 2>&1 | tail -1" } },
  { say = "4 is no prime: 2 is missing among the divisors. ",
    call = "edit", arguments = { path = "primes.py", old_string = "range(3, i)", new_string = "range(2, i)" } },
  { say = "Once more. ", call = "bash", arguments = { command = "python3 primes.py" } },
}

-- The results since the user spoke, and the last one's text.
local function results_in(request)
  local count, last = 0, ""
  for _, item in ipairs(request.input or {}) do
    if item.role == "user" then count = 0 end
    if item.type == "function_call_output" then
      count, last = count + 1, type(item.output) == "string" and item.output or ""
    end
  end
  return count, last
end

--- The stream -----------------------------------------------------------------------------------

local function send(sock, event)
  local text = ("event: %s\ndata: %s\n\n"):format(event.type, cjson.encode(event))
  sock:write(("%x\r\n"):format(#text), text, "\r\n")
  sock:flush()
  cqueues.sleep(PAUSE)
end

local function say(sock, text)
  for word in text:gmatch "%S*%s*" do
    if word ~= "" then send(sock, { type = "response.output_text.delta", output_index = 0, delta = word }) end
  end
  send(sock, { type = "response.output_item.done", output_index = 0, item = { type = "message", role = "assistant",
    content = { { type = "output_text", text = text } } } })
end

local function call(sock, step, id)
  local arguments = cjson.encode(step.arguments)
  send(sock, { type = "response.output_item.added", output_index = 1,
    item = { type = "function_call", call_id = id, name = step.call } })
  send(sock, { type = "response.function_call_arguments.delta", output_index = 1, delta = arguments })
  send(sock, { type = "response.output_item.done", output_index = 1,
    item = { type = "function_call", call_id = id, name = step.call, arguments = arguments, status = "completed" } })
end

local function reply(sock, request)
  local count, last = results_in(request)
  local step = STEPS[count]
  if step then
    say(sock, step.say)
    call(sock, step, "call_" .. count)
  else
    say(sock, "It works. It printed:\n" .. last)
  end
  send(sock, { type = "response.completed",
    response = { usage = { input_tokens = math.floor(#cjson.encode(request) / 4), output_tokens = 30 } } })
end

--- The server ----------------------------------------------------------------------------------------

local function read_request(sock)
  if not sock:read "*l" then return nil end
  local length = 0
  for line in sock:lines "*l" do
    if line == "\r" or line == "" then break end
    length = tonumber(line:lower():match "^content%-length:%s*(%d+)") or length
  end
  return cjson.decode(sock:read(length))
end

local function serve(sock)
  sock:setmode("bn", "bf")
  sock:onerror(function(_, _, code) return code end)
  for request in function() return read_request(sock) end do
    sock:write "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    reply(sock, request)
    sock:write "0\r\n\r\n"
    sock:flush()
  end
  sock:close()
end

local loop = cqueues.new()
local server = socket.listen { host = "127.0.0.1", port = 0 }
local _, _, port = server:localname()
io.stdout:write("http://127.0.0.1:", port, "\n")
io.stdout:flush()

loop:wrap(function()
  for sock in server:clients() do loop:wrap(serve, sock) end
end)

loop:wrap(function()
  cqueues.poll { pollfd = 1, events = "r" } -- nobody reads our output any more
  os.exit(0)
end)

assert(loop:loop())
