-- Many programs, some of them wrong, each tried in a sandbox: a few sandboxes at a time, a
-- progress bar, and one that fails stops no other.
--
--   lua5.4 examples/evaluate.lua [HOW MANY [SANDBOXES]]

local daytona = require "daytona"
local check = daytona.assert

-- Ctrl-C, SIGTERM and SIGHUP leave its scopes, which deletes what is in them, and say no more.
daytona.main(function()
  local client = check(require("daytona.devserver").client())
  local count, workers = tonumber(arg[1]) or 12, tonumber(arg[2]) or 3

  -- Candidates for "the sum of 1 to n"; every third one is wrong, every fifth fails.
  local programs = {}
  for i = 1, count do
    programs[i] = i % 5 == 0 and "print(undefined)" or i % 3 == 0 and ("print(%d + 1)"):format(i * (i + 1) / 2)
      or ("print(sum(range(%d)))"):format(i + 1)
  end

  local done = 0
  local function show_progress()
    done = done + 1
    local width = math.floor(30 * done / count)
    io.stderr:write(("\r[%s%s] %d of %d"):format(("#"):rep(width), (" "):rep(30 - width), done, count))
    if done == count then io.stderr:write "\n" end
  end

  -- Each worker has a sandbox, and takes the next program when it is done with one.
  local verdicts, taken = {}, 0

  local function judge(sb, i)
    local result, err = sb:run(programs[i], { timeout = 30 })
    if not result then return "not run: " .. tostring(err) end
    if result.exit_code ~= 0 then return "failed" end
    return tonumber(result.result) == i * (i + 1) / 2 and "right" or "wrong"
  end

  local function work()
    return daytona.using(check(client:create { language = "python", labels = { example = "evaluate" } }), function(sb)
      while taken < count do
        taken = taken + 1
        local mine = taken
        verdicts[mine] = judge(sb, mine)
        show_progress()
      end
      return true
    end)
  end

  local list = {}
  for i = 1, math.min(workers, count) do list[i] = work end
  check(daytona.gather(list))

  local sums = {}
  for _, verdict in ipairs(verdicts) do sums[verdict] = (sums[verdict] or 0) + 1 end
  print(("%d right, %d wrong, %d failed"):format(sums.right or 0, sums.wrong or 0, sums.failed or 0))
end)
