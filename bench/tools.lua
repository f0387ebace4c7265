-- What the benchmarks have in common: files, commands, medians. They run from the top of the
-- checkout, so that `dofile "bench/tools.lua"` finds it.

local tools = {}

---The text of a file; nil where there is none.
function tools.read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

function tools.save(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

---What a command prints, without white space at its end; and whether it succeeded.
function tools.output(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "*a"
  local fine = pipe:close()
  return (text:gsub("%s+$", "")), fine
end

function tools.quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

---Has a shell run a command when this program ends, whatever ends it: also `| head`. To be kept;
---`close` has it run now, and waits for it.
---@param command string
---@return file*
function tools.at_end(command)
  return assert(io.popen("trap '' HUP INT PIPE TERM; { cat; " .. command .. "; } >/dev/null 2>&1", "w"))
end

---The middle one, or what is between the middle two; nil of nothing. Sorts the list.
function tools.median(list)
  if #list == 0 then return nil end
  table.sort(list)
  local middle = math.floor(#list / 2)
  return #list % 2 == 1 and list[middle + 1] or (list[middle] + list[middle + 1]) / 2
end

---Puts a text into bench/README.md, between the marks of the table of that name.
function tools.put_table(name, table_text)
  local path = "bench/README.md"
  local text = tools.read(path)
  local first, last = ("<!-- %s -->\n"):format(name), ("<!-- end of %s -->"):format(name)
  local _, head = text:find(first, 1, true)
  local tail = text:find(last, head, true)
  tools.save(path, text:sub(1, head) .. table_text .. "\n" .. text:sub(tail))
end

---The machine and the state of the checkout, for the line above a table.
function tools.measured_on()
  local output = tools.output
  return ("%s (%s processors), %s, libcurl %s, at commit %s"):format(
    output "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1", output "nproc",
    output("lua5.4 -v"):match "Lua [%d.]+", output("curl --version"):match "[%d.]+",
    output "git rev-parse --short HEAD")
end

---The load average of the last minute.
function tools.load()
  return (tools.read "/proc/loadavg" or "?"):match "%S+"
end

return tools
