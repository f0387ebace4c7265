-- Files: streams up and down with progress, from strings, files and functions,
-- and failing well.
--
--   lua5.4 examples/files.lua

local daytona = require "daytona"
local check = daytona.assert

-- Ctrl-C, SIGTERM and SIGHUP leave its scopes, which deletes what is in them, and say no more.
daytona.main(function()
  local client = check(require("daytona.devserver").client())

  daytona.using(check(client:create()), function(sb)
    -- A function as source: nothing is ever whole in memory.
    local lines = 0
    local function numbers()
      lines = lines + 1
      if lines <= 200000 then return ("line %d\n"):format(lines) end
    end
    local info = check(sb.fs:upload(numbers, "data/numbers.txt"))
    print(("uploaded   %s, %d bytes"):format(info.path, info.size))
    print("over there " .. check(sb:exec "wc -l < data/numbers.txt").result:gsub("%s", "") .. " lines")

    -- A part of it, as a string.
    print("a part     " .. check(sb.fs:read("data/numbers.txt", { offset = 0, length = 6 })))

    -- To a local file, which is there whole or not at all.
    local target, steps = os.tmpname(), 0
    info = check(sb.fs:download("data/numbers.txt", target, {
      on_progress = function() steps = steps + 1 end,
    }))
    print(("downloaded %d bytes, told of progress: %s"):format(info.size, steps > 0 and "yes" or "no"))
    os.remove(target)

    -- A function as sink; it may have seen enough.
    local first
    local _, err = sb.fs:download("data/numbers.txt", function(chunk)
      first = chunk:match "^[^\n]*"
      return false, "one line is enough"
    end)
    print("first line " .. first .. " / " .. err.message)

    check(sb.fs:mkdir "data/old")
    check(sb.fs:move("data/numbers.txt", "data/old/numbers.txt"))
    for _, entry in ipairs(check(sb.fs:list("data", { depth = 2 }))) do
      print(("  %s %9d  %s"):format(entry.mode, entry.size, entry.path))
    end

    _, err = sb.fs:download("data/none.txt", target)
    print("not there  " .. tostring(err) .. (io.open(target) and " and left a file!" or ""))
  end)
end)
