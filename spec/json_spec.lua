local core = require "daytona.core"
local json = require "daytona.http.json"
local long_json = require "daytona.http.long_json"
local ordered = require "daytona.http.ordered_json"
local shared = require "cjson"

-- The same module again, over another codec.
local function reloaded(setup)
  local real, real_vim = package.loaded["daytona.http.json"], rawget(_G, "vim")
  package.loaded["daytona.http.json"] = nil
  local undo = setup()
  local fine, module = pcall(require, "daytona.http.json")
  undo()
  rawset(_G, "vim", real_vim)
  package.loaded["daytona.http.json"] = real
  assert(fine, module)
  return module
end

-- Neovim's codec is a descendant of cjson; here cjson plays its part.
local function over_vim()
  return reloaded(function()
    local codec = shared.new()
    rawset(_G, "vim", { json = { encode = codec.encode, decode = codec.decode }, NIL = shared.null })
    package.loaded["cjson"] = nil
    package.preload["cjson"] = function() error "no cjson here" end
    return function()
      package.preload["cjson"] = nil
      package.loaded["cjson"] = shared
    end
  end)
end

local function story(name, get)
  describe("JSON over " .. name, function()
    local j
    setup(function() j = get() end)

    local function round(value, lists)
      return assert(j.decode((assert(j.encode(value, lists)))))
    end

    it("reads whole numbers as integers", function()
      local value = j.decode '{"exitCode":3,"list":[1,2.5,-7],"big":9007199254740992}'
      assert.equal("3", tostring(value.exitCode))
      assert.equal("1", tostring(value.list[1]))
      assert.equal(2.5, value.list[2])
      assert.equal(2 ^ 53, value.big)
      assert.equal("5", tostring(j.decode "5"))
      if math.type then assert.equal("integer", math.type(value.big)) end
    end)

    it("reads a text, a number or null alone as what it is", function()
      assert.equal("12", j.decode '"12"')
      assert.equal("12", tostring(j.decode "12.0"))
      assert.equal(j.null, j.decode "null")
      assert.equal(true, j.decode "true")
      assert.equal(1.5, j.decode "1.5")
    end)

    it("tidies what is nested deeply, also in a coroutine", function()
      local text = ('{"a":[null,'):rep(300) .. '{"n":1,"x":null}' .. ("]}"):rep(300)
      local value = coroutine.wrap(function() return j.decode(text) end)()
      for _ = 1, 300 do
        assert.equal(j.null, value.a[1])
        value = value.a[2]
      end
      assert.equal("1", tostring(value.n))
      assert.is_nil(value.x)
    end)

    it("writes whole numbers without point or exponent, up to 2^53", function()
      assert.equal('{"n":9007199254740992}', j.encode { n = 2 ^ 53 })
      assert.equal("[-9007199254740992]", j.encode { -2 ^ 53 })
      assert.equal("[100000000000000000]", j.encode { 1e17 })
      assert.equal("[15]", j.encode { 15.0 })
      assert.equal("0", j.encode(0))
    end)

    it("brings fractions back as they were", function()
      for _, number in ipairs { 0.1, 1 / 3, 1e-300, 123456789.123456789, 1e300 } do
        assert.equal(number, round({ number })[1])
      end
    end)

    it("says yes and no", function()
      assert.equal("[true,false]", j.encode { true, false })
      assert.equal('{"a":false}', j.encode { a = false })
      assert.same({ yes = true, no = false }, round { yes = true, no = false })
    end)

    it("tells an empty array from an empty object", function()
      assert.equal('{"a":[]}', j.encode { a = j.array() })
      assert.equal('{"a":{}}', j.encode { a = {} })
      assert.equal('{"argv":[]}', j.encode({ argv = {} }, { argv = true }))
      assert.equal("[]", j.encode(j.array {}))
      assert.equal("[1]", j.encode(j.array { 1 }))
    end)

    it("leaves null fields out, keeps them in arrays, and can send them", function()
      local value = j.decode '{"a":null,"b":{"c":null},"l":[1,null,2]}'
      assert.is_nil(value.a)
      assert.is_nil(next(value.b))
      assert.equal(j.null, value.l[2])
      assert.equal(2, value.l[3])
      assert.equal('{"a":null}', j.encode { a = j.null })
      assert.equal(j.null, j.decode "null")
      assert.same({ { j.null }, { { j.null } } }, { j.decode "[null]", j.decode "[[null]]" })
    end)

    it("names the field that cannot be sent", function()
      local bad = {
        { { a = { 1, { x = 0 / 0 } } }, "a[2].x: NaN cannot be sent" },
        { { a = math.huge }, "a: infinity cannot be sent" },
        { { labels = { team = "\255" } }, "labels.team: not valid UTF-8" },
        { { labels = { ["\255"] = "x" } }, "labels: a field name is not valid UTF-8" },
        { { a = print }, "a: a function cannot be sent" },
        { { a = { 1, nil, 3 } }, "a: a list with holes" },
        { { a = { [1] = 1, x = 2 } }, "a: a list with the named field x" },
        { { a = { 1, [0] = 2 } }, "a: a list with the named field 0" },
        { { a = { 1, [1.5] = 2 } }, "a: a list with the named field 1.5" },
        { { a = { [5] = 1 } }, "a: an object with the key 5" },
      }
      for _, case in ipairs(bad) do
        local text, message = j.encode(case[1])
        assert.is_nil(text)
        assert.equal(case[2], message)
      end
    end)

    it("refuses what is nested without end", function()
      local loop = {}
      loop.loop = loop
      local text, message = j.encode(loop)
      assert.is_nil(text)
      assert.truthy(message:find "nested too deeply")
      assert.is_nil((j.decode(("["):rep(100000) .. ("]"):rep(100000))))
    end)

    it("carries every character", function()
      local text = "a/b \"quoted\" back\\slash \n\r\t \0 \127 é 日本 😀"
      assert.equal(text, round({ text })[1])
      assert.equal(text, next(round { [text] = 1 }))
      assert.equal('"/"', (j.encode "/"):gsub("\\/", "/"))
    end)

    it("says that something is no JSON", function()
      for _, text in ipairs { "", "{", "<html>", "{'a':1}", "[1,]", "nul" } do
        local value, message = j.decode(text)
        assert.is_nil(value)
        assert.truthy(message:find("not JSON", 1, true), text)
      end
    end)
  end)
end

story("lua-cjson", function() return json end)
story("vim.json", over_vim)

describe("JSON", function()
  it("that is to be the same text each time has its fields in the order that was written down, then by name", function()
    local value = { b = 1, a = { d = 1, c = 2 }, z = 3, y = 4 }
    assert.equal('{"a":{"c":2,"d":1},"b":1,"y":4,"z":3}', ordered.encode(value))
    assert.equal(value, ordered.note(value, { "z", "b" }))
    assert.equal('{"z":3,"b":1,"a":{"c":2,"d":1},"y":4}', ordered.encode(value))
    assert.same({ "z", "b" }, ordered.of(value))
    assert.equal("[{},[],true]", ordered.encode { {}, json.array(), true })
  end)

  it("that was received goes out again byte for byte", function()
    assert.equal('{"a":{ "x" : 1e0 }}', json.encode { a = json.verbatim '{ "x" : 1e0 }' })
  end)

  it("never touches the settings of the shared codec", function()
    assert.equal("[1,null,3]", shared.encode { 1, nil, 3 })
    assert.has_error(function() shared.encode { [1000] = 1 } end)
    assert.equal(14, (shared.encode_number_precision()))
    assert.is_true((shared.encode_keep_buffer()))
  end)

  it("refuses the numbers that JSON does not have", function()
    for _, text in ipairs { "[NaN]", "[Infinity]", "[0x10]" } do assert.is_nil((json.decode(text))) end
  end)

  it("asks for lua-cjson where no codec is", function()
    local real = package.loaded["daytona.http.json"]
    package.loaded["daytona.http.json"], package.loaded["cjson"] = nil, nil
    package.preload["cjson"] = function() error "none" end
    local fine, message = pcall(require, "daytona.http.json")
    package.preload["cjson"] = nil
    package.loaded["daytona.http.json"], package.loaded["cjson"] = real, shared
    assert.is_false(fine)
    assert.truthy(tostring(message):find("needs lua-cjson", 1, true))
  end)
end)

-- Texts that any part may be cut out of, and that have everything in them.
local function random_text(depth)
  local kind = math.random(depth > 4 and 6 or 9)
  local strings = { "", "a", "\195\169", "\\u00e9", "\\n", "\\ud83d\\ude00", '\\"', ("x"):rep(300), "\\/\\b\\t" }
  local function text()
    local parts = {}
    for i = 1, math.random(4) do parts[i] = strings[math.random(#strings)] end
    return '"' .. table.concat(parts) .. '"'
  end
  if kind <= 3 then return ({ "null", "true", "false" })[kind] end
  if kind == 4 then
    local numbers = { "0", "1", "-5", "1.5", "-0.25", "1e3", "2E-2", "12345678901234567890", "9007199254740993", "-0" }
    return numbers[math.random(#numbers)]
  end
  if kind <= 6 then return text() end
  local parts = {}
  for i = 1, math.random(6) - 1 do
    parts[i] = (kind == 7 and "" or '"' .. i .. text():sub(2) .. " : ") .. random_text(depth + 1)
  end
  return kind == 7 and "[" .. table.concat(parts, " , ") .. "]" or " {" .. table.concat(parts, ",") .. "}\n"
end

-- What a reader makes of a text in slices: true and the value, or false.
local function read(text, most)
  local reader = core.json_reader(text, json.null)
  while true do
    local over, value = reader:read(most)
    if over then return true, value end
    if over == nil then return false end
  end
end

local function with_types(value)
  if type(value) ~= "table" then return { math.type and math.type(value) or type(value), value } end
  local out = {}
  for key, item in pairs(value) do out[key] = with_types(item) end
  return out
end

describe("a JSON text that is read in slices", function()
  it("says what it says to decode, wherever a slice ends", function()
    math.randomseed(7)
    for _ = 1, 300 do
      local text = random_text(0)
      local wanted = with_types(json.decode(text))
      for _, most in ipairs { 1, 3, 64, 1000, 1e6 } do
        local fine, value = read(text, most)
        assert.is_true(fine, text)
        assert.same(wanted, with_types(value), text)
      end
    end
  end)

  it("is not taken for what it is not, whatever was changed in it", function()
    math.randomseed(8)
    local signs, refused = { '"', "{", "}", "[", "]", ",", ":", "x", "\\", "u", "1", " ", "\1" }, 0
    for _ = 1, 3000 do
      local text = random_text(0)
      local at = math.random(#text)
      text = text:sub(1, at - 1) .. signs[math.random(#signs)] .. text:sub(at + math.random(0, 1))
      local fine, value = read(text, 50)
      if fine then assert.same(with_types(json.decode(text)), with_types(value), text) else refused = refused + 1 end
    end
    assert.is_true(refused > 1000)
    for _, text in ipairs { "", " ", "[1,]", '{"a":1,}', "[1}", '{"a" 1}', "nul", "01", "1.", "1e", "+1", "[1] 2",
      "1e999", '"\\ud83d"', '"a\nb"', ("["):rep(1001) .. ("]"):rep(1001) } do
      assert.is_false(read(text, 10), text)
    end
    assert.is_true(read(("["):rep(1000) .. ("]"):rep(1000), 10))
  end)

  it("stays what it is when it is read on, and is a text or a transfer", function()
    local reader = core.json_reader('{"a":[1,2]}', json.null)
    repeat local over = reader:read(1) until over
    assert.same({ a = { 1, 2 } }, select(2, reader:read(1)))
    local broken = core.json_reader("[1,x]", json.null)
    repeat local over = broken:read(1) until over == nil
    assert.is_nil((broken:read(1000)))
    for _, wrong in ipairs { {}, io.stdout, 7, false } do
      assert.has_error(function() core.json_reader(wrong, nil) end)
    end
    assert.has_error(function() reader:read(0) end)
  end)

  it("tells before it makes a large string", function()
    local text = ("x"):rep(300000)
    for _, written in ipairs { text, "\\n" .. text } do
      local reader, told = core.json_reader('{"a":"' .. written .. '","b":"c"}', json.null), 0
      local over, value
      repeat
        over, value = reader:read(20000)
        if over == false and value then told = told + 1 end
      until over ~= false
      assert.same({ 1, true, "c", text }, { told, over, value.b, (value.a:gsub("\n", "")) })
    end
  end)
end)

describe("a long JSON text", function()
  local rests
  local function rest()
    rests = rests + 1
    return true
  end
  before_each(function() rests = 0 end)

  local function many(item)
    local items = {}
    for i = 1, 3000 do items[i] = item:gsub("#", i) end
    return table.concat(items, ",")
  end

  it("is decoded piece by piece", function()
    for _, item in ipairs { '{"n":#,"name":"x"}', ' { "n" : # , "o":{"p":[null]}, "q":null }' } do
      local list = assert(long_json.decode("[" .. many(item) .. "]\n", rest))
      assert.same({ 3000, 1, 3000 }, { #list, list[1].n, list[3000].n })
      assert.same(json.decode(item:gsub("#", 7)), list[7])
    end
    assert.is_true(rests > 10)
  end)

  it("that is none is what decode says it is", function()
    for _, text in ipairs { many '{"name":#}', "[" .. many '{"name":#' .. "]", "[" .. many "#" .. "]x" } do
      local value, why = json.decode(text)
      assert.same({ value, why }, { long_json.decode(text, rest) })
    end
  end)

  it("is given up when there is no rest", function()
    local value, err = long_json.decode("[" .. many '{"name":"number #"}' .. "]", function() return nil, "stop" end)
    assert.same({ nil, "stop" }, { value, err })
  end)
end)
