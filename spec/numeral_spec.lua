-- Numerals as `read "n"` finds them in what comes from a sandbox: as in a file.

local numeral = require "daytona.base.numeral"

-- What read "n" makes of a text, again and again: a number (or "nil") and how far.
local function readings(text)
  local out, at = {}, 1
  for _ = 1, 4 do
    at = text:find("%S", at) or #text + 1
    local found = numeral.beginning(text:sub(at, at + numeral.LONGEST - 1))
    at = at + #found
    out[#out + 1] = tostring(tonumber(found)) .. "@" .. (at - 1)
  end
  return table.concat(out, " ")
end

local function readings_of_file(text)
  local file = assert(io.tmpfile())
  file:write(text)
  file:seek "set"
  local out = {}
  for _ = 1, 4 do
    local number = file:read "n"
    out[#out + 1] = tostring(number) .. "@" .. ("%d"):format(file:seek())
  end
  file:close()
  return table.concat(out, " ")
end

describe("a numeral", function()
  it("ends where the next one begins", function()
    local function numbers(text)
      local out = {}
      for word in readings(text):gmatch "(%S+)@" do out[#out + 1] = tonumber(word) end
      return out
    end
    assert.same({ 2024, -1, -15 }, numbers "2024-01-15")
    assert.same({ 1, -2 }, numbers "1-2")
    assert.same({ 31, 1 }, numbers "0x1F+1")
    assert.same({ 1e5, -2 }, numbers "1e5-2")
    assert.same({ 0.5, 300 }, numbers " .5  +3e+2")
  end)

  -- Older Luas leave it to C, and to each C library.
  if _VERSION == "Lua 5.3" or _VERSION == "Lua 5.4" then it("is what the interpreter finds in a file", function()
    local texts = { "2024-01-15", "0x", "0xp1", "0x.8p1", "1e", "1e+", "1e+-2", "--1", ".", "-.e", "..5", "0x1p-3" }
    math.randomseed(7)
    local letters = "0123456789+-.eExXpPfa  "
    for i = #texts + 1, 3000 do
      local text = {}
      for j = 1, math.random(12) do
        local at = math.random(#letters)
        text[j] = letters:sub(at, at)
      end
      texts[i] = table.concat(text)
    end
    for _, text in ipairs(texts) do assert.equal(readings_of_file(text), readings(text), text) end
  end) end
end)
