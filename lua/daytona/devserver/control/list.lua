-- The list of sandboxes: filters, order, cursors and page numbers. It reads
-- records and query parameters; it changes nothing.
--
-- The order by each field is kept until a record changes, so that walking all
-- pages costs linear time.

local base64 = require "daytona.devserver.base64"
local checks = require "daytona.devserver.control.checks"
local params = require "daytona.devserver.control.params"
local json = require "daytona.devserver.http.json"

local list = {}

local integer, boolean, choice, set, time = params.integer, params.boolean, params.choice, params.set, params.time

local STATES = {}
for state in ([[creating restoring destroying started stopped starting stopping error
  build_failed pending_build building_snapshot unknown pulling_snapshot archived archiving
  resizing snapshotting forking pausing paused resuming]]):gmatch("%S+") do STATES[state] = true end
local CLASSES = { ["linux-vm"] = true, container = true, android = true, windows = true }

local SORTS = {
  name = "name", cpu = "cpu", memoryGib = "memory", diskGib = "disk",
  lastActivityAt = "activity", createdAt = "created",
}
local PAGE_SORTS = {
  id = "id", name = "name", state = "state", snapshot = "snapshot", region = "target",
  updatedAt = "updated", createdAt = "created", lastActivityAt = "activity",
}

-- Parameters ----------------------------------------------------------------------

local function labels(req)
  local text = req.query.labels
  if text == nil or text == "" then return nil end
  local value = json.decode(text)
  if value == nil then checks.bad "Invalid labels JSON format" end
  if type(value) ~= "table" or value[1] ~= nil then checks.unexpected() end
  return value
end

-- Filters -------------------------------------------------------------------------

local function add_range(tests, field, low, high)
  if low then tests[#tests + 1] = function(box) return box[field] ~= nil and box[field] >= low end end
  if high then tests[#tests + 1] = function(box) return box[field] ~= nil and box[field] <= high end end
end

-- A pattern for what the service's database takes to be a text, wildcards included.
local function like(text)
  text = text:gsub("[%^%$%(%)%.%[%]%*%+%-%?]", "%%%0"):gsub("%%([^%w])", "\0%1")
  return (text:gsub("%%", ".*"):gsub("_", "."):gsub("%z", "%%"))
end

local function add_text(tests, field, text, anywhere)
  if not text or text == "" then return end
  local pattern = (anywhere and "" or "^") .. like(text:lower())
  tests[#tests + 1] = function(box) return box[field]:lower():find(pattern) ~= nil end
end

local function add_set(tests, field, wanted)
  if wanted then tests[#tests + 1] = function(box) return wanted[box[field]] == true end end
end

local function add_labels(tests, wanted)
  if not wanted then return end
  tests[#tests + 1] = function(box)
    for name, value in pairs(wanted) do
      if type(box.labels) ~= "table" or box.labels[name] ~= value then return false end
    end
    return true
  end
end

local function add_visible(tests, req)
  local errored, warm = boolean(req, "includeErroredDeleted"), boolean(req, "includeWarm")
  tests[#tests + 1] = function(box)
    if box.state == "destroyed" or box.warm and not warm then return false end
    return errored or box.desired ~= "destroyed" or not
      (box.state == "error" or box.state == "build_failed")
  end
end

-- The filters of the two forms differ in few names.
local function filters(req, paged)
  local tests = {}
  add_visible(tests, req)
  add_text(tests, "id", req.query.id, paged)
  add_text(tests, "name", req.query.name, paged)
  add_labels(tests, labels(req))
  add_set(tests, "state", set(req, "states", STATES))
  add_set(tests, "snapshot", set(req, "snapshots"))
  add_set(tests, "target", set(req, paged and "regions" or "regionIds"))
  local classes = set(req, "sandboxClasses", CLASSES)
  if classes then tests[#tests + 1] = function(box) return classes[box.class or "container"] == true end end
  add_range(tests, "cpu", integer(req, "minCpu", 1), integer(req, "maxCpu", 1))
  add_range(tests, "memory", integer(req, "minMemoryGiB", 1), integer(req, "maxMemoryGiB", 1))
  add_range(tests, "disk", integer(req, "minDiskGiB", 1), integer(req, "maxDiskGiB", 1))
  add_range(tests, "gpu", integer(req, "minGpu", 0), integer(req, "maxGpu", 0))
  add_range(tests, "created", time(req, "createdAtAfter"), time(req, "createdAtBefore"))
  add_range(tests, "activity", time(req, "lastEventAfter"), time(req, "lastEventBefore"))
  add_range(tests, "destroy_at", time(req, "autoDestroyAtAfter"), time(req, "autoDestroyAtBefore"))
  local public, recoverable = boolean(req, "isPublic"), boolean(req, "isRecoverable")
  if public ~= nil then tests[#tests + 1] = function(box) return box.public == public end end
  if recoverable ~= nil then
    tests[#tests + 1] = function(box) return (box.recoverable or false) == recoverable end
  end
  return function(box)
    for i = 1, #tests do
      if not tests[i](box) then return false end
    end
    return true
  end
end

-- Order ---------------------------------------------------------------------------

local function key_of(box, field)
  local value = box[field]
  if value == nil then return field == "snapshot" and "" or 0 end
  return value
end

local function before(a_key, a_id, b_key, b_id)
  if a_key ~= b_key then return a_key < b_key end
  return a_id < b_id
end

-- All boxes in ascending order of a field.
local function ordered(store, field)
  local cache = store.orders
  if not cache or cache.version ~= store.version then
    cache = { version = store.version }
    store.orders = cache
  end
  if not cache[field] then
    local all = {}
    for _, box in pairs(store.by_id) do all[#all + 1] = box end
    table.sort(all, function(a, b)
      return before(key_of(a, field), a.id, key_of(b, field), b.id)
    end)
    cache[field] = all
  end
  return cache[field]
end

-- The position after the cursor, walking by `step`.
local function position(all, field, step, cursor)
  if not cursor then return step == 1 and 1 or #all end
  local low, high = 1, #all + 1           -- first index not before the cursor
  while low < high do
    local mid = math.floor((low + high) / 2)
    if before(key_of(all[mid], field), all[mid].id, cursor.v, cursor.id) then
      low = mid + 1
    else
      high = mid
    end
  end
  if step == -1 then return low - 1 end
  local here = all[low]
  return here and here.id == cursor.id and key_of(here, field) == cursor.v and low + 1 or low
end

-- (One of another order is taken; one of another sort is more than the service expects;
-- one that says nothing comes after everything.)
local function read_cursor(req, sort)
  local text = req.query.cursor
  if text == nil or text == "" then return nil end
  local plain = base64.decode(text)
  local cursor = plain and json.decode(plain)
  if type(cursor) ~= "table" then checks.bad("Invalid cursor provided: %s", text) end
  if next(cursor) == nil then return nil, true end
  if cursor.s ~= sort or type(cursor.id) ~= "string" then checks.unexpected() end
  local kind = sort == "name" and "string" or "number"
  local value = kind == "number" and tonumber(cursor.v) or cursor.v
  if type(value) ~= kind then checks.unexpected() end
  cursor.v = value
  return cursor
end

local function write_cursor(sort, order, value, id)
  -- (%.17g: times are compared for equality)
  if type(value) == "number" then value = ("%.17g"):format(value) end
  return base64.encode(json.encode { s = sort, o = order, v = value, id = id })
end

---The answer of GET /sandbox. Fails with 400 on a bad parameter or cursor.
---@param store table
---@param req table
---@return table
function list.cursor_page(store, req)
  local limit = integer(req, "limit", 1, 200) or 100
  local sort = choice(req, "sort", SORTS, "lastActivityAt")
  local order = choice(req, "order", { asc = true, desc = true }, "desc")
  local accepts = filters(req)
  local cursor, beyond = read_cursor(req, sort)
  if beyond then return { items = json.array {}, nextCursor = json.null } end
  local field, step = SORTS[sort], order == "asc" and 1 or -1
  local all = ordered(store, field)
  local items, last = json.array {}, nil
  local i = position(all, field, step, cursor)
  while all[i] do
    local box = all[i]
    if accepts(box) then
      if #items == limit then
        return { items = items, nextCursor = write_cursor(sort, order, key_of(last, field), last.id) }
      end
      items[#items + 1] = store:item(box)
      last = box
    end
    i = i + step
  end
  return { items = items, nextCursor = json.null }
end

---The answer of GET /sandbox/paginated.
---@param store table
---@param req table
---@return table
function list.numbered_page(store, req)
  local page = integer(req, "page", 1) or 1
  local limit = integer(req, "limit", 1, 200) or 100
  local field = PAGE_SORTS[choice(req, "sort", PAGE_SORTS, "createdAt")]
  local step = choice(req, "order", { asc = true, desc = true }, "desc") == "asc" and 1 or -1
  local accepts = filters(req, true)
  local all = ordered(store, field)
  local items, total = json.array {}, 0
  for i = step == 1 and 1 or #all, step == 1 and #all or 1, step do
    if accepts(all[i]) then
      total = total + 1
      if total > (page - 1) * limit and #items < limit then items[#items + 1] = store:dto(all[i]) end
    end
  end
  return { items = items, total = total, page = page, totalPages = math.ceil(total / limit) }
end

return list
