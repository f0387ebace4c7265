-- Paths that start from a folder of a sandbox.

local M = {}

---A path that starts from a folder; an absolute one is itself. Without a path it is the
---folder, without a folder the path as it is.
---@param folder? string
---@param path? string
---@return string?
function M.below(folder, path)
  if not folder or path and path:sub(1, 1) == "/" then return path end
  if not path then return folder end
  return folder .. "/" .. path
end

return M
