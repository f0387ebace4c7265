-- Ports of this machine.

local socket = require "cqueues.socket"

local ports = {}

---A port of the loopback that nobody listens on. (The network is the machine's: nobody says
---that it stays so.)
---@return integer
function ports.free()
  local listener = socket.listen("127.0.0.1", 0)
  assert(listener:listen())
  local _, _, port = listener:localname()
  listener:close()
  return math.floor(port)
end

---A port that nobody listens on, nor takes by chance: it is not given out to who asks for any.
ports.NOBODY = 1

return ports
