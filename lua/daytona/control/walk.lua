-- Going over pages, one by one as they are needed.

local errors = require "daytona.base.errors"

local M = {}

-- `fetch(cursor)` gets a page: a table with `items` and, unless it is the last one,
-- `next_cursor`; or nil, err.
local Walk = {}
Walk.__index = Walk

-- The next item, over as many pages as it takes: one may be empty, and not the last.
---@private
function Walk:__call()
  while not self.over do
    local page = self.page
    if page and self.at < #page.items then
      self.at = self.at + 1
      return page.items[self.at]
    end
    if page and page.next_cursor == nil then break end
    local err
    self.page, err = self.fetch(page and page.next_cursor or self.from)
    if not self.page then errors.assert(nil, err) end
    self.at = 0
  end
  self.over, self.page = true, nil
end

function Walk:close()
  self.over, self.page = true, nil
end

---@private
Walk.__close = Walk.close

---An iterator over the items of all pages, for `for`. Raises when a page cannot be had.
---@param fetch fun(cursor: any): table?, daytona.Error?
---@param from? any  the cursor to begin with
---@return table walk, nil, nil, table walk
function M.over(fetch, from)
  local walk = setmetatable({ fetch = fetch, from = from, at = 0 }, Walk)
  return walk, nil, nil, walk
end

---The same over a list that comes whole.
---@param list fun(): any[]?, daytona.Error?
---@return table walk, nil, nil, table walk
function M.of(list)
  return M.over(function()
    local items, err = list()
    return items and { items = items }, err
  end)
end

return M
