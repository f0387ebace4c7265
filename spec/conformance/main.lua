-- The recorded facts against the local server in both flavours, or against any server:
--
--   lua spec/conformance/main.lua [--flavour new|legacy] [URL KEY]      (make conformance)
--
-- Differences that are meant stand in differences.lua with a reason. Ends with the line
-- "N passed, N failed"; --all also prints the deliberate ones.

local runner = require "spec.conformance.runner"
local differences = require "spec.conformance.differences"

local options, words = {}, {}
for i = 1, #arg do
  if arg[i] == "--all" then
    options.all = true
  elseif arg[i - 1] == "--flavour" or arg[i - 1] == "--only" then
    options[arg[i - 1]:sub(3)] = arg[i]
  elseif arg[i]:sub(1, 2) ~= "--" then
    words[#words + 1] = arg[i]
  end
end

local passed, failed = 0, 0

local function play(url, key, flavour)
  local meant = 0
  for _, name in ipairs { "control", "toolbox", "events" } do
    if not options.only or options.only == name then
      local report = runner.play({ url = url, key = key, flavour = flavour },
        require("spec.conformance." .. name), differences[flavour])
      for _, each in ipairs(report.differences) do
        if each.why then meant = meant + 1 else failed = failed + 1 end
        if not each.why or options.all then
          print(("%s  %s: %s%s"):format(each.why and "meant  " or "differs", each.fact, each.what,
            each.why and " (" .. each.why .. ")" or ""))
        end
      end
      passed = passed + report.played - #report.differences
    end
  end
  print(("%s: %d differences are meant"):format(flavour, meant))
end

if words[1] then
  play(words[1], words[2] or os.getenv "DAYTONA_API_KEY" or "", options.flavour or "new")
else
  for _, flavour in ipairs { "legacy", "new" } do
    if not options.flavour or options.flavour == flavour then
      local server = assert(require("daytona.devserver").start {
        time_scale = 0.05,   -- so slowly that what happens meanwhile can be seen
      legacy = flavour == "legacy" and "0.190" or nil })
      play(server.api_url, server.api_key, flavour)
      server:stop()
    end
  end
end
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and 0 or 1)
