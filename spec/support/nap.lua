-- A `sleep` that no other run of the specs has, to look for among all processes:
-- nap(60) is "sleep 60.4711", where 4711 is this process's number.

local pid = require("daytona.base.native").pid()

return function(seconds)
  return ("sleep %d.%d"):format(seconds, pid)
end
