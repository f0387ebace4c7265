-- What a JSON Schema says of a value: cases in the manner of the official test suite,
-- for the keywords that are supported, and what the messages say.

local json = require "daytona.http.json"
local schema = require "daytona.agent.schema"

-- { keyword, schema, valid values, invalid values }, all JSON.
local CASES = {
  { "true and false", "true", { "1", "null", "[]" }, {} },
  { "false", "false", {}, { "1", "null", "{}" } },
  { "type integer", '{"type":"integer"}', { "1", "1.0", "-3", "1e3" }, { "1.1", '"1"', "true", "null", '{"a":1}' } },
  { "type number", '{"type":"number"}', { "1", "1.1" }, { '"1"', "[1]" } },
  { "type string", '{"type":"string"}', { '"a"', '""', '"1"' }, { "1", "null", "true" } },
  { "type object", '{"type":"object"}', { "{}", '{"a":1}' }, { "[1]", '"a"', "1" } },
  { "type array", '{"type":"array"}', { "[]", "[1]" }, { '{"a":1}', '"a"' } },
  { "type boolean", '{"type":"boolean"}', { "true", "false" }, { "0", '"true"' } },
  { "several types", '{"type":["string","null"]}', { '"a"', "null" }, { "1" } },
  { "enum", '{"enum":[6,"foo",true,{"foo":12}]}', { "6", '"foo"', "true", '{"foo":12}' }, { "4", "false", '{"foo":1}',
    '{"foo":12,"boo":42}' } },
  { "const", '{"const":{"a":[1]}}', { '{"a":[1]}' }, { '{"a":[2]}', "{}", "1" } },
  { "minimum", '{"minimum":1.1}', { "2.6", "1.1", '"x"' }, { "0.6" } },
  { "maximum", '{"maximum":3.0}', { "2.6", "3.0", '"x"' }, { "3.5" } },
  { "exclusive bounds", '{"exclusiveMinimum":1,"exclusiveMaximum":3}', { "2" }, { "1", "3" } },
  { "multipleOf", '{"multipleOf":2}', { "10", '"foo"' }, { "7" } },
  { "multipleOf a small number", '{"multipleOf":0.0001}', { "0.0075", "0.0003" }, { "0.00751" } },
  { "multipleOf a tenth", '{"multipleOf":0.1}', { "0.3", "1.1", "-0.7" }, { "0.35" } },
  { "length counts characters", '{"minLength":2,"maxLength":2}', { '"ab"', '"éé"', '"💩💩"', "1" }, { '"a"', '"abc"' } },
  { "items", '{"items":{"type":"integer"}}', { "[1,2,3]", "[]", '{"foo":"bar"}' }, { '[1,"x"]' } },
  { "prefixItems", '{"prefixItems":[{"type":"integer"},{"type":"string"}],"items":false}', { '[1,"a"]', "[1]", "[]" },
    { '["a",1]', '[1,"a",2]' } },
  { "minItems and maxItems", '{"minItems":1,"maxItems":2}', { "[1]", "[1,2]", '"long"' }, { "[1,2,3]" } },
  { "uniqueItems false", '{"uniqueItems":false}', { "[1,1]" }, {} },
  { "uniqueItems", '{"uniqueItems":true}', { '{"a":1,"b":1}', "[1,2]", "[[1],[2]]" },
    { "[1,1]", '[{"a":1},{"a":1}]' } },
  { "contains", '{"contains":{"minimum":5}}', { "[3,4,5]", '{"a":1}' }, { "[2,3]" } },
  { "contains with bounds", '{"contains":{"const":1},"minContains":2,"maxContains":2}', { "[1,1,2]" },
    { "[1]", "[1,1,1]" } },
  { "properties", '{"properties":{"foo":{"type":"integer"}}}', { '{"foo":1}', '{"bar":"x"}', "[1]" },
    { '{"foo":"x"}' } },
  { "required", '{"required":["foo"]}', { '{"foo":1}', "12", '"x"' }, { '{"bar":1}' } },
  { "additionalProperties false", '{"properties":{"foo":{}},"additionalProperties":false}', { '{"foo":1}', "[1]" },
    { '{"foo":1,"bar":2}' } },
  { "additionalProperties of a kind", '{"properties":{"foo":{}},"additionalProperties":{"type":"boolean"}}',
    { '{"foo":1,"bar":true}' }, { '{"bar":12}' } },
  { "propertyNames", '{"propertyNames":{"maxLength":3}}', { '{"f":1,"foo":2}' }, { '{"foobar":1}' } },
  { "minProperties and maxProperties", '{"minProperties":1,"maxProperties":2}', { '{"a":1}' },
    { '{"a":1,"b":2,"c":3}' } },
  { "dependentRequired", '{"dependentRequired":{"bar":["foo"]}}', { '{"foo":1}', '{"foo":1,"bar":2}' },
    { '{"bar":2}' } },
  { "allOf", '{"allOf":[{"minimum":1},{"maximum":3}]}', { "2" }, { "0", "4" } },
  { "anyOf", '{"anyOf":[{"type":"integer"},{"minimum":2}]}', { "1", "2.5" }, { "1.5" } },
  { "oneOf", '{"oneOf":[{"type":"integer"},{"minimum":2}]}', { "1", "2.5" }, { "3", "1.5" } },
  { "not", '{"not":{"type":"integer"}}', { '"foo"' }, { "1" } },
  { "if, then, else", '{"if":{"exclusiveMaximum":0},"then":{"minimum":-10},"else":{"multipleOf":2}}', { "-1", "4" },
    { "-100", "3" } },
  { "$ref", '{"$ref":"#/$defs/a","$defs":{"a":{"type":"integer"}}}', { "5" }, { '"a"' } },
  { "a recursive $ref", '{"properties":{"foo":{"$ref":"#"}},"additionalProperties":false}', { '{"foo":{"foo":{}}}' },
    { '{"foo":{"bar":1}}' } },
  { "escapes in $ref", '{"$ref":"#/$defs/a~1b%25~0","$defs":{"a/b%~":{"type":"integer"}}}', { "1" }, { '"a"' } },
}

-- Top-level values that cjson takes: they are wrapped.
local function decode(text)
  return json.decode("[" .. text .. "]")[1]
end

describe("the tools of every set", function()
  it("say whether they only read, and none of those that it destroys", function()
    local sets = { "operations", "components", "session", "coding", "native", "computer", "daytona" }
    for _, set in ipairs(sets) do
      for _, tool in ipairs(require("daytona.agent.tools").new({ set }).tools) do
        local hints = tool.annotations or {}
        assert.is_false(hints.readOnlyHint == true and hints.destructiveHint == true, set .. " " .. tool.name)
        if tool.name:find "^delete" or tool.name:find "^destroy" then
          assert.same({ false, true }, { hints.readOnlyHint or false, hints.destructiveHint }, tool.name)
        end
      end
    end
  end)
end)

describe("a schema with", function()
  for _, case in ipairs(CASES) do
    it(case[1] .. " lets pass what fits, and nothing else", function()
      local node = decode(case[2])
      assert.is_nil(schema.flaw(node))
      for _, text in ipairs(case[3]) do
        local fine, problems = schema.check(node, decode(text))
        assert.is_true(fine, text .. ": " .. (problems and schema.describe(problems, "it") or ""))
      end
      for _, text in ipairs(case[4]) do
        local fine, problems = schema.check(node, decode(text))
        assert.is_nil(fine, text)
        assert.truthy(problems[1].message ~= "" and #schema.describe(problems, "it") > 3)
      end
    end)
  end

  it("a keyword that is not supported is refused, wherever it stands", function()
    assert.equal("the keyword 'pattern' (at #/properties/a) is not supported",
      schema.flaw { properties = { a = { pattern = "x" } } })
    assert.truthy(schema.flaw { unevaluatedProperties = false })
    assert.truthy(schema.flaw { type = "strnig" }:find "no type 'strnig'")
    assert.truthy(schema.flaw { ["$ref"] = "#/$defs/none" }:find "leads nowhere")
    assert.truthy(schema.flaw { items = 3 }:find "no schema")
  end)

  it("a reference to itself ends", function()
    local node = { ["$ref"] = "#" }
    local fine, problems = schema.check(node, 1)
    assert.is_nil(fine)
    assert.truthy(problems[1].message:find "too deeply")
  end)
end)

describe("a problem", function()
  local function says(node, value)
    local _, problems = schema.check(node, value)
    return schema.describe(problems, "the arguments")
  end

  it("names the field, what came and what is allowed", function()
    local node = { properties = { files = { items = { properties = { mode = { enum = { "r", "w" } } } } } } }
    assert.equal('files[1].mode must be one of "r", "w", not "x"',
      says(node, { files = { { mode = "r" }, { mode = "x" } } }))
    assert.equal("the arguments must be an object, not an array", says({ type = "object" }, { 1 }))
    assert.equal("a is not known; the fields are: b",
      says({ properties = { b = true }, additionalProperties = false }, { a = 1 }))
    assert.equal("n must be at most 5, not 7", says({ properties = { n = { maximum = 5 } } }, { n = 7 }))
    local function of_n(n_node, value) return says({ properties = { n = n_node } }, { n = value }) end
    assert.equal("n must be a multiple of 2, not 3", of_n({ multipleOf = 2 }, 3))
    assert.equal("n must have at least 2 characters, not 1", of_n({ minLength = 2 }, "é"))
    assert.equal("n must have at most 1 items, not 2", of_n({ maxItems = 1 }, { 1, 2 }))
    assert.equal("n[1] must be a string, not 1", of_n({ prefixItems = { true, { type = "string" } } }, { 0, 1 }))
    assert.equal("n[0] must be a string, not 1", of_n({ prefixItems = { { type = "string" } } }, { 1 }))
    assert.equal("the arguments must have at most 1 fields, not 2", says({ maxProperties = 1 }, { a = 1, b = 2 }))
    assert.equal("a is not known; it has no fields", says({ additionalProperties = false }, { a = 1 }))
    assert.equal('["a b"] must be a string, not 1',
      says({ properties = { ["a b"] = { type = "string" } } }, { ["a b"] = 1 }))
    assert.equal('["100%"] is not known; the fields are: 5%',
      says({ properties = { ["5%"] = true }, additionalProperties = false }, { ["100%"] = 1 }))
    assert.equal("a.b is required, and missing",
      says({ properties = { a = { required = { "b" } } } }, { a = { c = 1 } }))
  end)

  it("tells each of several, in the same order every time", function()
    local node = { properties = { a = { type = "string" }, b = { type = "integer" } }, required = { "c" } }
    for _ = 1, 5 do
      assert.equal("c is required, and missing\na must be a string, not 1\nb must be an integer, not \"x\"",
        says(node, { a = 1, b = "x" }))
    end
  end)

  it("shows no secret, and no long text", function()
    local node = { properties = { key = { type = "integer", writeOnly = true }, text = { type = "integer" } } }
    assert.equal("key must be an integer, not a string of 7 bytes\ntext must be an integer, not a string of 500 bytes",
      says(node, { key = "hunter2", text = ("x"):rep(500) }))
    assert.equal(('text must be an integer, not "%s"'):format(("x"):rep(60)), says(node, { text = ("x"):rep(60) }))
    assert.equal("text must be an integer, not a string of 61 bytes", says(node, { text = ("x"):rep(61) }))
    assert.matches("not inf", says(node, { text = math.huge }))
  end)
end)
