local variables = require "daytona.base.variables"
local options = require "daytona.base.options"
local names = require "daytona.http.names"
local shell = require "daytona.base.shell"
local query = require "daytona.http.query"
local url = require "daytona.http.url"
local reference = require "daytona.http.reference"
local base64 = require "daytona.base.base64"

describe("options", function()
  local spec = {
    auto_stop_interval = "count", timeout = "seconds", name = "text", env = "map", argv = "list",
    language = { "python", "javascript" }, limit = options.range(1, 200), on_progress = "callable",
  }

  local function refusal(given)
    local fine, text = pcall(options.check, "create", spec, given)
    assert.is_false(fine)
    return text
  end

  it("that are unknown are refused with those there are", function()
    local text = refusal { autostop = 1 }
    assert.truthy(text:find("unknown option 'autostop'", 1, true))
    assert.truthy(text:find("argv, auto_stop_interval, env, language, limit", 1, true))
    assert.truthy(refusal({ autoStopInterval = 1 }):find("did you mean 'auto_stop_interval'", 1, true))
    assert.truthy(refusal({ timout = 1 }):find("did you mean 'timeout'", 1, true))
    for _, name in ipairs { "env_vars", "envVars", "environment" } do
      assert.truthy(refusal({ [name] = {} }):find("did you mean 'env'", 1, true))
    end
    assert.is_nil(refusal({ resources = {} }):find("did you mean", 1, true)) -- there is no cpu here
    assert.truthy(refusal({ "name" }):find("options are named, but there is [1]", 1, true))
  end)

  it("of the wrong type or size are refused with what is right", function()
    local cases = {
      { { timeout = -1 }, "'timeout' must be seconds, 0 or more, not -1" },
      { { timeout = 1 / 0 }, "'timeout' must be seconds" },
      { { timeout = 0 / 0 }, "'timeout' must be seconds" },
      { { timeout = "5" }, "'timeout' must be seconds, 0 or more, not the string \"5\"" },
      { { auto_stop_interval = 1.5 }, "must be a whole number, 0 or more, not 1.5" },
      { { name = "" }, "must be a string that is not empty, not an empty string" },
      { { env = { A = 1 } }, "must be a table of strings by name, not one where 'A' is a number" },
      { { env = { "A=1" } }, "must be a table of strings by name, not one with the key [1]" },
      { { env = "A=1" }, "must be a table of strings by name, not a string" },
      { { argv = { "a", nil, "c" } }, "must be a list of strings" },
      { { argv = { "a", 5 } }, "must be a list of strings, not one whose item 2 is a number" },
      { { language = "cobol" }, 'must be one of "python", "javascript", not "cobol"' },
      { { limit = 201 }, "must be a whole number from 1 to 200, not 201" },
      { { on_progress = 1 }, "must be a function" },
    }
    for _, case in ipairs(cases) do
      local text = refusal(case[1])
      assert.truthy(text:find(case[2], 1, true), text)
    end
    assert.truthy(refusal("x"):find("options must be a table, not a string", 1, true))
  end)

  it("have one of the types that there are", function()
    local right = {
      { "any", false, print }, { "boolean", true, false }, { "string", "", "a" }, { "text", "a" },
      { "number", 0, -1.5, 1 / 0 }, { "integer", -3, 0, 2 ^ 53 - 1, 1 - 2 ^ 53 }, { "count", 0, 7 }, { "positive", 1 },
      { "seconds", 0, 0.5 }, { "table", {} }, { "map", {}, { a = "b" } }, { "list", {}, { "a", "b" } },
      { "variables", {}, { a = 1, b = "c" } }, { "words", {}, { 1, "c" } }, { "texts", "a", {}, { "a" } },
      { "callable", print, setmetatable({}, { __call = print }) }, { "file", io.stdout },
    }
    local wrong = {
      { "boolean", 0, "true" }, { "string", 1 }, { "text", "", 1 }, { "number", 0 / 0, "1" },
      { "integer", 0.5, 2 ^ 53, -2 ^ 53, "1" }, { "count", -1, 0.5 }, { "positive", 0, -1 },
      { "seconds", -0.1, 1 / 0, "1" }, { "table", "a" }, { "map", "a", { "a" }, { a = 1 }, { a = "b", [1] = "c" } },
      { "list", "a", { 1 }, { "a", 2 }, { a = "b" }, { "a", b = "c" } },
      { "variables", "a", { "a" }, { a = true }, { a = 0 / 0 } },
      { "words", "a", { true }, { 0 / 0 }, { "a", b = 1 }, { "a", true } },
      { "texts", "", 1, { 1 }, { a = "b" } }, { "callable", 1, {}, setmetatable({}, {}), "print" },
      { "file", {}, "x" },
    }
    for _, case in ipairs(right) do
      for i = 2, #case do assert.equal(case[i], options.argument("x", case[1], case[i]), case[1]) end
    end
    for _, case in ipairs(wrong) do
      for i = 2, #case do
        assert.is_false(pcall(options.argument, "x", case[1], case[i]), case[1] .. " " .. tostring(case[i]))
      end
    end
    assert.is_false(pcall(options.argument, "x", "any", nil))
    for _, value in ipairs { "a", "b" } do assert.equal(value, options.argument("x", { "a", "b" }, value)) end
    for _, value in ipairs { 1, 7, 200 } do assert.equal(value, options.argument("x", options.range(1, 200), value)) end
    for _, value in ipairs { 0, 201, 1.5 } do
      assert.is_false(pcall(options.argument, "x", options.range(1, 200), value))
    end
    local closed = io.tmpfile()
    closed:close()
    assert.is_false(pcall(options.argument, "x", "file", closed))
  end)

  it("that are wrong are shown as they are, where they can be no secret", function()
    local function said(kind, value)
      return (tostring(select(2, pcall(options.argument, "x", kind, value))):match "x must be .-, not (.*)$")
    end
    assert.equal("true", said("text", true))
    assert.equal("nil", said("text", nil))
    assert.equal("a function", said("text", print))
    assert.equal("an empty string", said("text", ""))
    assert.equal("a string", said("count", "s3cret"))
    assert.equal('"' .. ("x"):rep(39) .. '"', said({ "a" }, ("x"):rep(39)))
    assert.equal("a string", said({ "a" }, ("x"):rep(40)))
    assert.equal("this string", said(options.id, "a/b"))
    assert.equal("a table", said("text", {}))
    assert.equal("one where 'a' is a boolean", said("variables", { a = true }))
    assert.equal("one whose item 2 is a boolean", said("words", { 1, true }))
    assert.equal("one whose item 2 is a boolean", said("words", { "a", true }))
    assert.equal("one whose item 1 is a number", said("words", { 0 / 0 }))
    assert.equal("one with the key [1]", said("map", { "a" }))
    assert.equal("a table with names or gaps", said("list", { a = "b" }))
    assert.equal("a table with names or gaps", said("words", { a = "b" }))
  end)

  it("that are nearly right are guessed, others are not", function()
    local function guess(name)
      return refusal({ [name] = 1 }):match "did you mean '([%w_]+)'"
    end
    assert.equal("timeout", guess "timeot")
    assert.equal("timeout", guess "tiemout")
    assert.equal("timeout", guess "TIME_OUT")
    assert.equal("timeout", guess "xtimeout")
    assert.equal("timeout", guess "timeoutxx")
    assert.equal("language", guess "languages")
    assert.equal("limit", guess "limits")
    assert.equal("env", guess "en")
    for _, name in ipairs { "timeoutxxx", "e", "xy", "something_else" } do assert.is_nil(guess(name), name) end
  end)

  it("may be seconds where nothing else is asked", function()
    assert.equal(3, options.timeout("wait", 3))
    assert.equal(3, options.timeout("wait", { timeout = 3 }))
    assert.is_nil(options.timeout("wait", nil))
    assert.is_false(pcall(options.timeout, "wait", "3"))
    assert.is_false(pcall(options.timeout, "wait", { time = 3 }))
  end)

  it("may be ports, which are numbers or their digits", function()
    for given, port in pairs { [1] = 1, [65535] = 65535, ["3000"] = 3000, ["80"] = 80, [3000] = 3000 } do
      local found = options.port("preview_url: port", given)
      assert.equal(("%d"):format(port), tostring(found))
    end
    for _, odd in ipairs {
      0, -1, 65536, 1.5, 0 / 0, "0", "65536", "", " 80", "80 ", "0x50", "8e1", "http", "080808", true, {},
    } do
      local fine, message = pcall(function() return (options.port("preview_url: port", odd)) end)
      assert.is_false(fine)
      assert.matches("options_spec.lua:%d+: preview_url: port must be a whole number from 1 to 65535, not ", message)
    end
  end)

  it("may be ids, which become names over there", function()
    for _, id in ipairs { "a", "_", "7", "a.b_c-d", ("x"):rep(100) } do
      assert.equal(id, options.identifier("x", id))
    end
    for _, id in ipairs { "", "-a", ".a", "a/b", "a b", ("x"):rep(101), 7 } do
      assert.is_false(pcall(options.identifier, "x", id), tostring(id))
    end
  end)

  it("in an environment are texts, and none of them is shown", function()
    local texts, secrets = variables("exec", { A = "x", B = 3, C = 0.5, D = 2 ^ 40 })
    assert.same({ A = "x", B = "3", C = "0.5", D = "1099511627776" }, texts)
    table.sort(secrets)
    assert.same({ "0.5", "1099511627776", "3", "x" }, secrets)
    assert.same({ nil, {} }, { variables("exec", nil) })
    for _, name in ipairs { "1A", "", "A-B", "A=B" } do
      assert.is_false(pcall(variables, "exec", { [name] = "x" }), name)
    end
  end)

  it("never show the value of a string, which might be a secret", function()
    assert.is_nil(refusal({ env = "hunter22" }):find("hunter22", 1, true))
  end)

  it("that are right pass untouched", function()
    local given = setmetatable({ timeout = 0, on_progress = setmetatable({}, { __call = print }) }, {
      __newindex = function() error "modified" end,
    })
    assert.equal(given, options.check("create", spec, given))
    assert.same({}, options.check("create", spec, nil))
  end)
end)

describe("names", function()
  it("are turned at one place, both ways", function()
    local pairs_of = {
      autoStopInterval = "auto_stop_interval", toolboxProxyUrl = "toolbox_proxy_url", id = "id",
      minMemoryGiB = "min_memory_gib", maxDiskGiB = "max_disk_gib", isDir = "is_dir", createdAt = "created_at",
    }
    for service, lua in pairs(pairs_of) do
      assert.equal(lua, names.snake_name(service))
      assert.equal(service, names.camel_name(lua))
    end
  end)

  it("that belong to the user are left alone, all the way down", function()
    local raw = { someThing = { { innerName = 1 } }, labels = { teamName = "x" }, env = { pathTo = "y" } }
    assert.same({ some_thing = { { inner_name = 1 } }, labels = { teamName = "x" }, env = { pathTo = "y" } },
      names.to_lua(raw))
    assert.same({ volumeId = "v", labels = { a_b = "c" } },
      names.to_service { volume_id = "v", labels = { a_b = "c" } })
    assert.is_not_nil(raw.someThing)
    for _, name in ipairs { "labels", "env", "envs", "secrets", "set", "resourceAttributes", "logAttributes",
      "spanAttributes" } do
      assert.same({ myName = { its_own = 1 } }, select(2, next(names.to_lua { [name] = { myName = { its_own = 1 } } })))
    end
    assert.same({ 1, { is_on = true } }, names.to_lua { 1, { isOn = true } })
  end)
end)

describe("shell words", function()
  it("reach a program byte for byte", function()
    local words = { "it's", "", "a b", "$HOME", "`x`", "line\nbreak", "*", "\\", '"', "~", "a=b", "-n", "\233", "!" }
    local pipe = io.popen("sh -c " .. shell.quote(shell.join { "printf", "<%s>", (table.unpack or unpack)(words) }))
    local out = pipe:read "*a"
    pipe:close()
    assert.equal("<" .. table.concat(words, "><") .. ">", out)
  end)

  it("name a program even where it looks like something else", function()
    for _, name in ipairs { "if", "a=b", "~" } do assert.equal("'" .. name .. "'", shell.join { name }) end
  end)
end)

describe("URLs", function()
  it("take names with anything in them", function()
    assert.equal("/sandbox/a%2Fb%20%C3%A9/autostop/15", url.path("/sandbox/{}/autostop/{}", "a/b é", 15))
    assert.equal("/sandbox/%2E%2E", url.path("/sandbox/{}", ".."))
    assert.equal("/sandbox/%7B%7D%25s", url.path("/sandbox/{}", "{}%s"))
  end)

  it("repeat the name of a list in a query", function()
    assert.equal("?limit=5&states=a&states=b%26", query { states = { "a", "b&" }, limit = 5 })
    assert.equal("?b=1&a=x%20y", query { { "b", 1 }, { "none", nil }, { "a", "x y" } })
    assert.equal("", query {})
  end)

  it("are told apart by origin, and followed like browsers do", function()
    local base = url.parse "https://Host:443/a/b/c?x=1"
    assert.equal("https://host/a/d?e", url.text(reference.resolve(base, "../d?e")))
    assert.equal("https://host/a/b/c?y", url.text(reference.resolve(base, "?y#frag")))
    assert.equal("https://other/x", url.text(reference.resolve(base, "//other/x")))
    assert.equal(url.origin(base), url.origin(url.parse "https://host/z"))
    assert.not_equal(url.origin(base), url.origin(url.parse "http://host/z"))
    assert.is_nil(reference.resolve(base, "ftp://host/"))
    for _, bad in ipairs { "host/x", "http://", "http://a b/", "http://h:99999/", "file:///etc/passwd" } do
      assert.is_nil(url.parse(bad), bad)
    end
  end)
end)

describe("base64", function()
  it("goes both ways for every length and byte", function()
    local all = {}
    for i = 0, 999 do all[i + 1] = string.char((i * 7919) % 256) end
    local bytes = table.concat(all)
    for n = 0, 260 do
      local text = bytes:sub(1, n)
      assert.equal(text, base64.decode(base64.encode(text)))
    end
    assert.equal("Zm9vYg==", base64.encode "foob")
    assert.equal("foob", base64.decode " Zm9v\nYg ")
    assert.equal("\251\255", base64.decode "-_8")
    assert.is_nil(base64.decode "Zm9v!")
    assert.is_nil(base64.decode "Z")
  end)
end)
