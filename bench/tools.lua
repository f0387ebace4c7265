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

---The middle one, or what is between the middle two; nil of nothing. Sorts the list.
function tools.median(list)
  if #list == 0 then return nil end
  table.sort(list)
  local middle = math.floor(#list / 2)
  return #list % 2 == 1 and list[middle + 1] or (list[middle] + list[middle + 1]) / 2
end

return tools
