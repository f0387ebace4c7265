-- What one would write in nginx without a client: a command's POST over a cosocket, kept in the
-- pool, its answer read by Content-Length and decoded by cjson. No deadline of the whole, no
-- cancel, no chunked answers, no second look at what broke.
local cjson = require "cjson.safe"

local by_hand = {}

local HEAD = "POST /toolbox/bench/process/execute HTTP/1.1\r\nHost: %s:%d\r\nAuthorization: Bearer bench\r\n"
  .. "Content-Type: application/json\r\nAccept: application/json\r\nX-Daytona-Source: sdk-lua\r\n"
  .. "X-Daytona-SDK-Version: 0.205.0\r\nUser-Agent: sdk-lua/0.2.0\r\nContent-Length: "

local function read_head(socket)
  local line, err = socket:receive "*l"
  if not line then return nil, err end
  local status, length = tonumber(line:match "^HTTP/1%.1 (%d%d%d)"), nil
  while line and line ~= "" do
    line, err = socket:receive "*l"
    local name, value = (line or ""):match "^([^:]+):%s*(.-)%s*$"
    if name and name:lower() == "content-length" then length = tonumber(value) end
  end
  if not line then return nil, err end
  return status, length
end

---A function that runs a command on the service at this address.
function by_hand.new(api)
  local host, port = api:match "//([^:]+):(%d+)"
  port = tonumber(port)
  local head = HEAD:format(host, port)
  return function()
    local body = cjson.encode {
      command = "eval 'uname -a' </dev/null", envs = { DAYTONA_EXEC_ID = "70909b6592b1ab8b-70." }, timeout = 600,
    }
    local socket = ngx.socket.tcp()
    socket:settimeouts(10000, 10000, 660000)
    local ok, err = socket:connect(host, port)
    if ok then ok, err = socket:send { head, #body, "\r\n\r\n", body } end
    if not ok then return nil, err end
    local status, length = read_head(socket)
    if not status then return nil, length end
    local answer
    answer, err = socket:receive(length)
    if not answer then return nil, err end
    socket:setkeepalive(60000, 64)
    if status ~= 200 then return nil, status end
    return cjson.decode(answer)
  end
end

return by_hand
