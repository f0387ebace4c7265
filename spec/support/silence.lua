-- A TCP port that accepts connections and never says a word, for specs.

local socket = require "cqueues.socket"

local Silence = {}
Silence.__index = Silence

---Listens on a free port of 127.0.0.1; the kernel accepts, nobody answers.
local function start()
  local listener = assert(socket.listen { host = "127.0.0.1", port = 0 })
  assert(listener:listen())
  local _, _, port = listener:localname()
  return setmetatable({ listener = listener, port = port }, Silence)
end

function Silence:close()
  self.listener:close()
end

return { start = start }
