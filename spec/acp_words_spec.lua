-- What an agent does in the words of the Agent Client Protocol, and the records of sessions.

local json = require "daytona.http.json"
local past = require "daytona.agent.acp.past"
local updates = require "daytona.agent.acp.updates"

describe("a call in an editor", function()
  it("has a title that says what it is about", function()
    local tool = { title = "Read a file" }
    assert.equal("Read a file: a b", updates.title(tool, "read", { path = "a\n\tb" }))
    assert.equal("read: *.lua", updates.title(nil, "read", { pattern = "*.lua" }))
    assert.equal("make test", updates.title({ title = "Run a command" }, "bash", { command = "make  test" }))
    assert.equal("Read a file", updates.title(tool, "read", {}))
    assert.equal("Read a file", updates.title(tool, "read", nil))
    assert.equal("Read a file", updates.title(tool, "read", { path = { "x" } }))
  end)

  it("has a title that is not long, of whole characters", function()
    assert.equal(("x"):rep(120), updates.title(nil, "bash", { command = ("x"):rep(120) }))
    assert.equal(("x"):rep(120) .. "...", updates.title(nil, "bash", { command = ("x"):rep(121) }))
    assert.equal("x" .. ("\195\169"):rep(59) .. "...",
      updates.title(nil, "bash", { command = "x" .. ("\195\169"):rep(60) }))
  end)

  it("names the file on this computer", function()
    local function location(path, remote)
      local list = updates.locations({ path = path }, "/home/me/p", remote)
      return list and list[1].path
    end
    assert.equal("/home/me/p/a/b", location "a/b")
    assert.equal("/home/me/p/b", location "./b")
    assert.equal("/home/me/p/src/c", location("/srv/p/src/c", "/srv/p"))
    assert.is_nil(location("/srv/pq/c", "/srv/p"))
    assert.is_nil(location("/srv/p", "/srv/p"))
    assert.is_nil(location "/srv/p/c")
    assert.is_nil(location "a\255")
    assert.is_nil(updates.locations(nil, "/p"))
  end)

  it("is of a kind", function()
    assert.same({ "execute", "read", "edit", "search", "think", "other" }, { updates.kind "bash", updates.kind "read",
      updates.kind "write", updates.kind "ls", updates.kind "update_plan", updates.kind "mine" })
  end)

  it("has its text, pictures and what it changed as its content", function()
    local content = updates.content({ text = "done", images = { { data = "AA", mime_type = "image/png" } } },
      { { path = "a", old = "1", new = "2" }, { path = "b", new = "n" }, { path = "c", old = "o" }, { path = "d" } },
      "/p")
    assert.same({
      { type = "diff", path = "/p/a", oldText = "1", newText = "2" },
      { type = "diff", path = "/p/b", oldText = json.null, newText = "n" },
      { type = "diff", path = "/p/c", oldText = "o", newText = "" },
      { type = "content", content = { type = "text", text = "done" } },
      { type = "content", content = { type = "image", data = "AA", mimeType = "image/png" } },
    }, content)
    assert.equal("[]", json.encode(updates.content({ text = "", images = {} }, {}, "/p")))
  end)
end)

describe("a prompt of an editor", function()
  it("is text, with files by the names that the model knows", function()
    assert.equal("look\n[file src/a b.lua]\n[file /etc/hosts]\n[file https://x/y]\n"
      .. "[content of b.lua]\nreturn 1\n[end of b.lua]", updates.prompt({
      { type = "text", text = "look" }, { type = "resource_link", uri = "file:///p/src/a%20b.lua" },
      { type = "resource_link", uri = "file://host/etc/hosts" }, { type = "resource_link", uri = "https://x/y" },
      { type = "resource", resource = { uri = "file:///p/b.lua", text = "return 1" } },
    }, "/p"))
    assert.equal("[file /pq/a]", updates.prompt({ { type = "resource_link", uri = "file:///pq/a" } }, "/p"))
  end)

  it("that cannot be taken is refused, and it is said why", function()
    local function why(blocks) return select(2, updates.prompt(blocks, "/p")) end
    for _, blocks in ipairs { { "x" }, { { type = "audio" } }, { { type = "text" } }, { { type = "resource" } },
      { { type = "resource", resource = { uri = "u" } } }, { { type = "resource", resource = { text = "t" } } },
      { { type = "resource_link" } } } do
      assert.equal("prompt: block 1 is none of text, resource_link and resource with a text", why(blocks))
    end
    assert.matches("^prompt: block 2 ", why { { type = "text", text = "a" }, { type = "image" } })
    for _, blocks in ipairs { {}, "text", { type = "text" } } do
      assert.equal("prompt must be a list of content blocks", why(blocks))
    end
    assert.equal("the prompt is empty", why { { type = "text", text = " \n" } })
  end)
end)

describe("a session of the past", function()
  local folder, records

  before_each(function()
    local pipe = io.popen "mktemp -d"
    folder = pipe:read "*l"
    pipe:close()
    records = past.new()
    records.store = require("daytona.agent.store.file").new(folder)
  end)

  after_each(function() os.execute("rm -rf " .. folder) end)

  it("is listed by its first prompt, the latest first, for its folder", function()
    assert.same({}, records:list())
    for i, when in ipairs { "2026-01-01", "2026-01-03", "2026-01-02", "2026-01-03" } do
      local id = "daytona-" .. i
      assert(records.store:put("acp", id, json.encode { sessionId = id, cwd = i == 1 and "/a" or "/b", updatedAt = when,
        title = "t" }))
    end
    assert.is_true(records:note("daytona-5", "/a"))
    local function ids(where)
      local list = {}
      for i, record in ipairs(records:list(where)) do list[i] = record.sessionId:match "%d$" end
      return table.concat(list, " ")
    end
    assert.equal("2 4 3 1", ids())
    assert.equal("1", ids "/a")
    assert.equal("/b", records:find("daytona-2").cwd)
    assert.is_nil(records:find "daytona-5") -- it has not begun
    assert.is_nil(records:find "../daytona-2")
    records:remove "../daytona-2"
    records:remove "daytona-2"
    assert.equal("4 3 1", ids())
  end)

  it("has the first line of its prompt as title, as much as fits", function()
    local function title(prompt)
      assert.is_true(records:note("daytona-1", "/a", prompt))
      return records:find("daytona-1").title
    end
    assert.equal("do it", title "\n  \n  do it\nand more")
    assert.equal(("x"):rep(80), title(("x"):rep(80)))
    assert.equal(("x"):rep(80) .. "...", title(("x"):rep(81)))
    assert.equal("x" .. ("\195\169"):rep(39) .. "...", title("x" .. ("\195\169"):rep(40)))
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", records:find("daytona-1").updatedAt)
  end)
end)
