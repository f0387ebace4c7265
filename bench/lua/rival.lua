-- What one would use without a client, at what exec.lua does: rival.lua API_URL N WHICH
--   luasocket   socket.http with ltn12, a connection a request, as it has no other way
--   kept        luasocket, and HTTP by hand over one connection
--   lua-http    http.request of lua-http, a connection a request
--   curl        the program, started for each, as plugins of editors do
-- Each sends what the client sends and decodes the answer with cjson. Prints what the last N
-- cost, after a tenth as many. (What `curl` itself takes is not in it; bench/run.lua counts the whole process for that.)
local cjson = require "cjson"
local api, n, which = arg[1], tonumber(arg[2]), arg[3]

local URL = api:gsub("/api$", "/toolbox/bench/process/execute")
local HOST, PORT = URL:match "//([^:]+):(%d+)"
local HEADERS = {
  { "Authorization", "Bearer bench" }, { "Content-Type", "application/json" }, { "Accept", "application/json" },
  { "X-Daytona-Source", "sdk-lua" }, { "X-Daytona-SDK-Version", "0.205.0" }, { "User-Agent", "sdk-lua/0.2.0" },
}

local function body()
  return cjson.encode {
    command = "eval 'uname -a' </dev/null", envs = { DAYTONA_EXEC_ID = "70909b6592b1ab8b-70." }, timeout = 600,
  }
end

local rivals = {}

function rivals.luasocket()
  local http, ltn12 = require "socket.http", require "ltn12"
  return function(text)
    local headers, chunks = { ["Content-Length"] = #text }, {}
    for _, pair in ipairs(HEADERS) do headers[pair[1]] = pair[2] end
    local ok, status = http.request {
      url = URL, method = "POST", headers = headers, source = ltn12.source.string(text),
      sink = ltn12.sink.table(chunks),
    }
    assert(ok and status == 200, status)
    return table.concat(chunks)
  end
end

function rivals.kept()
  local socket = assert(require("socket").connect(HOST, tonumber(PORT)))
  socket:setoption("tcp-nodelay", true)
  local head = ("POST %s HTTP/1.1\r\nHost: %s:%s\r\n"):format(URL:match "//[^/]+(.*)", HOST, PORT)
  for _, pair in ipairs(HEADERS) do head = head .. pair[1] .. ": " .. pair[2] .. "\r\n" end
  return function(text)
    assert(socket:send(head .. "Content-Length: " .. #text .. "\r\n\r\n" .. text))
    assert(socket:receive "*l":find " 200 ")
    local length
    for line in function() return socket:receive "*l" end do
      if line == "" then break end
      length = line:match "^[Cc]ontent%-[Ll]ength: (%d+)" or length
    end
    return assert(socket:receive(tonumber(length)))
  end
end

rivals["lua-http"] = function()
  local http = require "http.request"
  return function(text)
    local request = http.new_from_uri(URL)
    request.headers:upsert(":method", "POST")
    for _, pair in ipairs(HEADERS) do request.headers:upsert(pair[1]:lower(), pair[2]) end
    request:set_body(text)
    local headers, stream = assert(request:go(10))
    assert(headers:get ":status" == "200")
    local answer = stream:get_body_as_string(10)
    stream:shutdown()
    return answer
  end
end

function rivals.curl()
  local command = { "curl -s -X POST" }
  for _, pair in ipairs(HEADERS) do command[#command + 1] = ("-H '%s: %s'"):format(pair[1], pair[2]) end
  command[#command + 1] = "-d '%s' " .. URL
  command = table.concat(command, " ")
  return function(text)
    local pipe = assert(io.popen(command:format((text:gsub("'", "'\\''")))))
    local answer = pipe:read "*a"
    pipe:close()
    return answer
  end
end

local found, call = pcall(rivals[which])
if not found then
  print '{"missing":true}'
  os.exit(0)
end

local function run(count)
  for _ = 1, count do
    local answer = call(body())
    assert(cjson.decode(answer).exitCode == 0)
  end
end

run(math.ceil(n / 10))
local cpu = os.clock()
run(n)
print(('{"cpu":%.6f,"n":%d}'):format(os.clock() - cpu, n))
