-- The documents: their programs run as they stand and print what is shown, what they
-- link to is there. How blocks are marked is said in spec/support/documents.lua.

local compat = require "daytona.base.compat"
local daytona = require "daytona"
local errors = require "daytona.base.errors"
local json = require "daytona.http.json"
local documents = require "spec.support.documents"
local shell = require "daytona.base.shell"

-- For people who change the project: its blocks show what is inside.
local INSIDE = { ["doc/architecture.md"] = true }

-- Programs that only a host can run: host_embedding_spec.lua does.
local function is_for_a_host(block)
  return block.text:find "^%-%- %a+\n" ~= nil and block.path == "doc/embedding.md"
end

local function blocks(language, kind)
  local list = {}
  for _, path in ipairs(documents.all()) do
    if not INSIDE[path] then
      for _, block in ipairs(documents.blocks(path)) do
        if block.language == language and block.kind == kind and not is_for_a_host(block) then
          list[#list + 1] = block
        end
      end
    end
  end
  return list
end

local function place(block) return ("%s:%d"):format(block.path, block.line) end

local load_text = loadstring or load -- luacheck: ignore

-- What a block is when it is compiled, under its place as its name; with as many lines
-- before it as the document has, so that errors name the document's line. Also an
-- expression, as a plugin's entry in a list is one.
local function compile(block)
  local before = ("\n"):rep(block.line)
  local fn, why = load_text(before .. block.text, "@" .. block.path)
  return fn or load_text(before .. "return " .. block.text, "@" .. block.path), why
end

-- Only Lua 5.4 knows `<close>`, with which most programs here end.
local is_newest = _VERSION == "Lua 5.4"

local function is_for_another_lua(block)
  return not is_newest and block.text:find "<close>" ~= nil
end

-- The pattern of what is shown: "..." for anything within a line.
local function pattern(shown)
  return "^" .. shown:gsub("%p", "%%%0"):gsub("%%%.%%%.%%%.", "[^\n]*") .. "$"
end

local function check_output(block, text)
  if not block.prints then return end
  assert.truthy(text:find(pattern(block.prints)),
    ("%s prints\n%s\nand not\n%s"):format(place(block), text, block.prints))
end

describe("the documents", function()
  local service, client, folder

  setup(function()
    service = require("spec.support.service").start()
    client = service.client
    folder = io.popen("mktemp -d"):read "*l"
  end)
  teardown(function()
    os.execute("rm -rf " .. folder)
    service:stop()
  end)

  -- Runs a shell command, with what finds the library and the server; its output.
  local function run(block, command)
    local lua = compat.name
    local root = io.popen("pwd"):read "*l"
    local line = ("export LUA_PATH=%s LUA_CPATH=%s DAYTONA_API_URL=%s DAYTONA_API_KEY=%s; exec 2>&1 </dev/null; %s")
      :format(shell.quote(root .. "/lua/?.lua;" .. root .. "/lua/?/init.lua;;"),
        shell.quote(root .. "/build/" .. lua .. "/?.so;;"), service.server.api_url, service.server.api_key, command)
    local pipe = io.popen(("timeout -s KILL 120 sh -c %s; echo \"@exit $?\""):format(shell.quote(line)))
    local text = pipe:read "*a"
    pipe:close()
    local output, status = text:match "^(.*)@exit (%d+)\n$"
    assert.equal("0", status, place(block) .. "\n" .. text)
    return output
  end

  describe("run:", function()
    after_each(function() assert.equal(0, service:sandboxes()) end)

    for _, block in ipairs(blocks("lua", "")) do
      if not is_for_another_lua(block) then
        it(place(block), function()
          local file = assert(io.open(folder .. "/program.lua", "w"))
          file:write(block.text)
          file:close()
          check_output(block, run(block, ("cd %s && %s program.lua"):format(folder, compat.name)))
        end)
      end
    end

    for _, block in ipairs(blocks("sh", "run")) do
      it(place(block), function()
        check_output(block, run(block, "set -eu\n" .. block.text))
      end)
    end
  end)

  describe("parts, in a sandbox:", function()
    local sb, printed

    setup(function() sb = assert(client:create { language = "python" }) end)
    teardown(function() assert(sb:delete()) end)

    local function write(text) printed[#printed + 1] = text end

    local function show(...)
      local texts = {}
      for i = 1, select("#", ...) do texts[i] = tostring((select(i, ...))) end
      write(table.concat(texts, "\t") .. "\n")
    end

    -- What a part sees as globals; what it sets there is gone with it.
    local function surroundings()
      local out = setmetatable({ write = function(_, ...) write(table.concat { ... }) end }, { __index = io.stdout })
      return setmetatable({
        daytona = daytona, client = client, sb = sb, check = daytona.assert, print = show,
        io = setmetatable({ write = function(...) write(table.concat { ... }) end, stdout = out }, { __index = io }),
      }, { __index = _G })
    end

    for _, block in ipairs(blocks("lua", "sandbox")) do
      if not is_for_another_lua(block) then
        it(place(block), function()
          printed = {}
          local text = ("\n"):rep(block.line - 1) .. "local _ENV = ...; local _G = _ENV\n" .. block.text
          local fn = assert(load_text(text, "@" .. block.path))
          local env = surroundings()
          if setfenv then setfenv(fn, env) end -- luacheck: ignore
          fn(env)
          check_output(block, table.concat(printed))
        end)
      end
    end
  end)

  it("has fragments that compile", function()
    for _, block in ipairs(blocks("lua", "fragment")) do
      if not is_for_another_lua(block) then assert(compile(block), place(block)) end
    end
  end)

  it("has JSON that can be read", function()
    local list = blocks("json", "")
    assert.is_true(#list > 2)
    for _, block in ipairs(list) do assert(json.decode(block.text), place(block)) end
  end)

  -- A name in a command that is one of ours, and is not there; nil when all are.
  local function missing(text)
    local rules = "\n" .. documents.read "Makefile"
    for target in text:gsub(" %-%a+%f[%s]", ""):gmatch "%f[%w]make +([%a-]+)%f[%s]" do
      if not rules:find("\n" .. target .. ":", 1, true) then return "make " .. target end
    end
    for path in text:gmatch "%f[%w]([%a]+/[%w_./-]*[%w_])" do
      if path:find "^bin/" or path:find "^examples/" or path:find "^scripts/" or path:find "^spec/" then
        if not io.open(path) then return path end
      end
    end
  end

  it("has commands that a shell understands, of things that are there", function()
    for _, block in ipairs(blocks("sh", "")) do
      run(block, "sh -n -c " .. shell.quote(block.text))
      assert.is_nil(missing(block.text), place(block))
    end
  end)

  it("marks its blocks as this knows them", function()
    local KNOWN = { lua = { "", "fragment", "sandbox" }, sh = { "", "run" } }
    local function is_known(block)
      for _, kind in ipairs(KNOWN[block.language]) do
        if block.kind == kind then return true end
      end
    end
    for _, path in ipairs(documents.all()) do
      for _, block in ipairs(documents.blocks(path)) do
        if KNOWN[block.language] then assert.truthy(is_known(block), place(block)) end
      end
    end
  end)

  describe("errors.md", function()
    local sections, kind = {}, nil
    for line in io.lines "doc/errors.md" do
      if line:find "^#" then kind = line:match "^### `([%w_]+)`$" end
      if kind then sections[kind] = (sections[kind] or "") .. line .. "\n" end
    end

    local function kinds()
      local list = {}
      local alias = documents.read("lua/daytona/base/errors.lua"):match "@alias daytona.ErrorKind\n(.-)\n\n"
      for name in alias:gmatch '"([%w_]+)"' do list[#list + 1] = name end
      return list
    end

    it("has every kind of daytona.ErrorKind, and no other", function()
      local n = 0
      for _, name in ipairs(kinds()) do
        assert.truthy(sections[name], name)
        n = n + 1
      end
      for _ in pairs(sections) do n = n - 1 end
      assert.equal(0, n)
    end)

    it("says of those that are retryable that they are, and of no other", function()
      for _, name in ipairs(kinds()) do
        local is_retryable = errors.new({ kind = name, message = "" }).retryable
        assert.equal(is_retryable, sections[name]:find "%f[%w]Retryable" ~= nil, name)
      end
    end)

    it("names codes that the library knows", function()
      local known = documents.sources()
      for code in documents.read("doc/errors.md"):match("\n## Codes.-\n## "):gmatch "`([%w_]+)`" do
        assert.truthy(known:find('%f[%w_]' .. code .. '%f[^%w_]'), code)
      end
    end)
  end)

  it("leads where its links say", function()
    for _, path in ipairs(documents.all()) do
      for file, anchor, target in documents.links(path) do
        local there = io.open(file)
        assert.truthy(there, ("%s links to %s"):format(path, target))
        there:close()
        if anchor then
          assert.truthy(documents.anchors(file)[anchor], ("%s links to %s"):format(path, target))
        end
      end
    end
  end)
end)
