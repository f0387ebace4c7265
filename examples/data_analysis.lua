-- Analyses a CSV file in a sandbox: the file goes up, Python reads it, the numbers are printed
-- and the charts kept here. Where a sandbox has no matplotlib, the numbers are all there is.
--
--   lua5.4 examples/data_analysis.lua [FILE.csv [FOLDER]]      columns: name, number

local daytona = require "daytona"
local check = daytona.assert

-- Ctrl-C, SIGTERM and SIGHUP leave its scopes, which deletes what is in them, and say no more.
daytona.main(function()
  local client = check(require("daytona.devserver").client())
  local file, folder = arg[1] ~= "" and arg[1], arg[2] or "."

  local SAMPLE = "month,rain\nJan,61\nFeb,40\nMar,52\nApr,33\nMay,75\nJun,80\n"

  local CODE = [=[
import csv, statistics
rows = list(csv.reader(open("data.csv")))
head, rows = rows[0], [(name, float(number)) for name, number in rows[1:]]
values = [number for _, number in rows]
print(f"{len(rows)} rows, mean {statistics.mean(values):.1f}, deviation {statistics.stdev(values):.1f}")
print("most:", max(rows, key=lambda row: row[1])[0])
try:
    import matplotlib.pyplot as plt
except ImportError:
    print("no matplotlib here: no chart")
else:
    plt.bar([name for name, _ in rows], values)
    plt.xlabel(head[0]); plt.ylabel(head[1]); plt.show()
]=]

  daytona.using(check(client:create { language = "python", labels = { example = "data_analysis" } }), function(sb)
    if file then check(sb.fs:upload(file, "data.csv")) else check(sb.fs:write("data.csv", SAMPLE)) end
    local result = check(sb:run(CODE, { timeout = 120, check = true }))
    io.write(result.result)
    for i, chart in ipairs(result.artifacts.charts) do
      print("kept " .. check(chart:save(("%s/analysis-%d.png"):format(folder, i))))
    end
  end)
end)
