-- Many sandboxes at once, in one thread: each task makes one, uses it, and
-- deletes it. When one fails, the others are cancelled and delete theirs.
--
--   lua5.4 examples/parallel.lua [HOW MANY]

local daytona = require "daytona"
local check = daytona.assert

local function square(client, i)
  local worker = check(client:create { name = "worker-" .. i .. "-" .. os.time(), ephemeral = true })
  return daytona.using(worker, function(sb)
    -- Within a sandbox, too, commands run side by side.
    local results = check(daytona.gather {
      function() return sb:exec "sleep 0.5; hostname" end,
      function() return sb:exec("sleep 0.5; echo $((N * N))", { env = { N = tostring(i) } }) end,
    })
    return ("%s on %s: %d squared is %s"):format(sb.name, (results[1].result:gsub("%s", "")), i,
      (results[2].result:gsub("%s", "")))
  end)
end

-- Ended by Ctrl-C, SIGTERM or SIGHUP, it deletes its sandboxes and says no more.
daytona.main(function()
  local count = tonumber(arg[1] or 5) or error("HOW MANY is a number", 0)
  local client = check(require("daytona.devserver").client())
  local numbers = {}
  for i = 1, count do numbers[i] = i end
  local lines = check(daytona.map(numbers, function(i) return square(client, i) end, { concurrency = 10 }))
  for _, line in ipairs(lines) do print(line) end
end)
