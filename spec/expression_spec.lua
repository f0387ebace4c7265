-- Expressions in the inputs of a workflow's steps.

local expression = require "daytona.agent.expression"
local json = require "daytona.http.json"

local RESULTS = {
  box = { type = "daytona.sandbox", data = { id = "b1", state = "started", public = false } },
  empty = { data = {}, n = 3.0, x = 1.5 },
  ["my step"] = { data = { exitCode = 0, list = { "a", { name = "b" } }, result = '{{ $["box"].data.id }}' } },
}

local function resolve(value) return expression.resolve(value, RESULTS) end

describe("an expression", function()
  it("alone is the value itself", function()
    assert.equal("b1", resolve '{{ $["box"].data.id }}')
    assert.equal("b1", resolve "{{$['box'].data.id}}")
    assert.equal("b1", resolve "{{ $.box.data['id'] }}")
    assert.equal(0, resolve '{{ $["my step"].data.exitCode }}')
    assert.is_false(resolve "{{ $.box.data.public }}")
    assert.same({ "a", { name = "b" } }, resolve '{{ $["my step"].data.list }}')
    assert.equal("b", resolve '{{ $["my step"].data.list[1].name }}')
  end)

  it("within a text is written there", function()
    assert.equal("id=b1; code 0", resolve 'id={{ $.box.data.id }}; code {{ $["my step"].data.exitCode }}')
    assert.equal('["a",{"name":"b"}]!', resolve '{{ $["my step"].data.list }}!')
    assert.equal("false.", resolve "{{ $.box.data.public }}.")
    assert.equal("3 of 1.5", resolve "{{ $.empty.n }} of {{ $.empty.x }}")
  end)

  it("is found however deep it is, and the table is not changed", function()
    local inputs = { env = { ID = "{{ $.box.data.id }}", n = 1 }, list = { true, "{{ $.box.data.state }}" } }
    assert.is_true(expression.is_in(inputs))
    assert.same({ env = { ID = "b1", n = 1 }, list = { true, "started" } }, resolve(inputs))
    assert.equal("{{ $.box.data.id }}", inputs.env.ID)
    assert.is_false(expression.is_in { "x", 1, { y = "{{ .State }}" } })
    assert.equal("[]", json.encode(resolve(json.array())))
  end)

  it("in what a step gave is not read again", function()
    assert.equal('{{ $["box"].data.id }}', resolve '{{ $["my step"].data.result }}')
    assert.equal('<{{ $["box"].data.id }}>', resolve '<{{ $["my step"].data.result }}>')
  end)

  it("of others is left alone, and one of ours with a backslash before it", function()
    for _, text in ipairs { "{{ .State }}", "{{ x }}", "{{", "}}", "$.box", "{{ $x }}", "{ { $.box } }" } do
      assert.equal(text, resolve(text))
    end
    assert.equal("{{ $.box.data.id }}", resolve "\\{{ $.box.data.id }}")
    assert.equal("{{ $.box }} b1", resolve "\\{{ $.box }} {{ $.box.data.id }}")
  end)

  it("without a value says which that is, and what there is", function()
    local function why(text) return select(2, resolve(text)) end
    assert.equal('$["boxx"] has no value; there is: box, empty, my step', why '{{ $["boxx"].data.id }}')
    assert.equal('$["box"].data.sandboxId has no value; there is: id, public, state',
      why "{{ $.box.data.sandboxId }}")
    assert.equal('$["box"].data.id.x has no value: $["box"].data.id is a string', why "{{ $.box.data.id.x }}")
    assert.equal('$["my step"].data.list[7] has no value; there is: 1, 2', why "{{ $['my step'].data.list[7] }}")
    assert.truthy(why({ a = { "{{ $.nobody }}" } }):find "nobody")
    assert.equal('$["empty"].data.id has no value; there is nothing', why "{{ $.empty.data.id }}")
  end)

  it("that cannot be read says where", function()
    for _, text in ipairs { "{{ $.box.data + 1 }}", '{{ $["box }}', "{{ $.box", "{{ $.box.data.id", "{{ $[box] }}" } do
      local value, why = resolve(text)
      assert.is_nil(value)
      assert.truthy(why:find "cannot read the expression at", text)
    end
    assert.equal("cannot read the expression at ' + 1 }} and more text than need'",
      select(2, resolve "{{ $.box.data + 1 }} and more text than need be shown"))
  end)
end)
