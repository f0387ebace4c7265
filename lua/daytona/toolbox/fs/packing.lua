-- Content that travels packed (gzip): whether that pays, and the stream. The same content makes
-- the same stream, so that what was cut can go on at any byte of it.

local core = require "daytona.base.native"
local loop = require "daytona.loop"

local packing = {}

-- What is nearer than this (seconds there and back) is sent faster than it is packed, and so few
-- bytes are sent as soon as they are packed.
local FAR, FEW = 0.015, 32 * 1024

-- The levels: one that is nearly as good as the best, and one that is more than twice as fast.
local BEST, FAST = 5, 1

-- A chunk that is not smaller than so much of itself was packed already. Those behind it are stored as
-- they are, 1, then 2, 4... of them, before another is tried.
local WORTH, MOST_STORED = 0.9, 32

-- Packing takes so much of the time: a faster level lets more through.
local BUSY = 0.7

-- Levels that turned out to be right, by connection.
local level_of = setmetatable({}, { __mode = "k" })

---Whether packing pays.
---@param connection daytona.Connection
---@param size integer      bytes of the content
---@param distance? number  seconds there and back; nil where that is not known
---@return boolean
function packing.pays(connection, size, distance)
  return connection.compression and size >= FEW and distance ~= nil and distance >= FAR
end

-- A function that packs chunks, each at the level that suits it.
local function packer_at(best)
  local packer, stored, wait = core.packer(best), 0, 1
  return function(chunk)
    if not chunk then return packer:finish() end
    if stored > 0 then
      stored = stored - 1
      return packer:write(chunk, 0)
    end
    local out = packer:write(chunk, best)
    if #out > WORTH * #chunk then
      stored, wait = wait, math.min(wait * 2, MOST_STORED)
    else
      wait = 1
    end
    return out
  end
end

---@class daytona.PackedContent : daytona.Content
---@field given integer     bytes of the content that were packed so far
---@field raw_length integer  of all of it

---Content as a packed stream, whose length is known at its end.
---@param raw { source: (fun(): string?, any), length: integer, again: fun(): (fun(): string?, any)?, daytona.Error? }
---`again`: the content from its beginning
---@param connection daytona.Connection
---@return daytona.PackedContent
function packing.content(raw, connection)
  local level, began, spent = level_of[connection] or BEST, loop.now(), 0
  local content = { given = 0, raw_length = raw.length }

  -- The stream from byte `at` on, at most `most` bytes of it.
  local function stream(source, at, most)
    local pack, given, made, over = packer_at(level), 0, 0, false
    return function()
      while not over and most > 0 do
        local chunk, why = source()
        if chunk == nil and why ~= nil then return nil, why end
        local started = loop.now()
        local out = pack(chunk)
        spent = spent + loop.now() - started
        given, made, over = given + #(chunk or ""), made + #out, chunk == nil
        content.given = math.max(content.given, given)
        if over then content.length = made end
        out, at = out:sub(at + 1, math.min(at + most, #out)), math.max(at - #out, 0)
        most = most - #out
        if out ~= "" then return out end
        local fine, err = loop.breathe()
        if not fine then return nil, err end
      end
    end
  end

  content.source = stream(raw.source, 0, math.huge)
  -- All of the rest as it is made, or a part whose length is to be known.
  function content.from(at, size)
    local source, err = raw.again()
    if not source then return nil, err end
    source = stream(source, at, size)
    if size == math.huge or content.length then return { source = source } end
    local pieces, piece = {}, nil
    repeat
      pieces[#pieces + 1] = piece
      piece, err = source()
    until not piece
    if err then return nil, err end
    local data = table.concat(pieces)
    return { data = data, length = #data }
  end
  function content.sent()
    if spent > BUSY * (loop.now() - began) then level_of[connection] = FAST end
  end
  return content
end

return packing
