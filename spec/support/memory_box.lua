-- A sandbox in memory, for specs of tools that only need its files: `files` by path, false
-- is a folder; what `exec` is asked goes to `answer`.
--
--   local box = memory_box.new({ ["a.txt"] = "a\n", folder = false }, function(command) ... end)

local errors = require "daytona.base.errors"

local M = {}

local function missing(operation)
  return nil, errors.new { kind = "not_found", operation = operation, message = "no such file" }
end

---@param files table<string, string|false>
---@param answer? fun(command: string, opts: table): table?, any
function M.new(files, answer)
  local fs = { files = files }
  function fs:exists(path) return self.files[path] ~= nil end
  function fs:read(path)
    if self.files[path] then return self.files[path] end
    return missing "read"
  end
  function fs:stat(path)
    if self.files[path] == nil then return missing "stat" end
    return { is_dir = not self.files[path], size = #(self.files[path] or "") }
  end
  function fs:list(path)
    if self.files[path or "."] == nil then return missing "list" end
    local list = {}
    for name, text in pairs(self.files) do
      local inner = name:match("^" .. (path or "."):gsub("%p", "%%%0") .. "/([^/]+)$")
      if inner then list[#list + 1] = { name = inner, is_dir = not text, size = #(text or "") } end
    end
    table.sort(list, function(a, b) return a.name < b.name end)
    return list
  end
  function fs:write(path, text)
    if path == "full" then return nil, "no space" end
    self.files[path] = text
    return true
  end
  function fs:remove(path)
    self.files[path] = nil
    return true
  end
  return { id = "box", fs = fs, exec = function(_, command, opts) return answer(command, opts) end }
end

return M
