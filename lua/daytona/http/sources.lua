-- Bodies that are not in memory: files, functions that give chunks, and multipart.

local sources = {}

-- Multipart parts as the core wants them; the part with a source uses the queue.
local function core_parts(parts)
  local out = {}
  for i = 1, #parts do
    local part = parts[i]
    out[i] = {
      name = part.name, filename = part.filename, type = part.type, data = part.data,
      file = part.file, queue = part.source and true or nil, length = part.length,
    }
  end
  return out
end

---Where the files are that are sent: there they start again when a request is repeated.
---@param request daytona.Request
---@return { [1]: file*, [2]: integer }[]|nil
function sources.positions(request)
  local places = {}
  local function add(file)
    if file then places[#places + 1] = { file, (file:seek()) } end
  end
  add(request.body_file)
  for _, part in ipairs(request.parts or {}) do add(part.file) end
  return places[1] and places
end

---Puts what a request sends into its call, where that is no text.
---@param call daytona.core.Request
---@param request daytona.Request
function sources.add(call, request)
  call.body_file = request.body_file
  call.body_queue = request.body_source and true or nil
  call.body_length = request.body_length
  call.parts = request.parts and core_parts(request.parts)
end

return sources
