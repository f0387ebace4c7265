-- What tools for models do to texts: what is shown of long ones and of bytes, edits, patches,
-- patterns of paths.

local edit = require "daytona.agent.edit"
local globs = require "daytona.agent.globs"
local json = require "daytona.http.json"
local known = require "daytona.base.known_secrets"
local memory_box = require "spec.support.memory_box"
local mime = require "daytona.agent.mime"
local output = require "daytona.agent.output"
local patch = require "daytona.agent.patch"
local patches = require "daytona.agent.patches"

describe("a text that is shown", function()
  it("has a mark in place of each byte that is no UTF-8, and all characters", function()
    for text, shown in pairs {
      ["a\255b"] = "a?b", ["\195\169\195"] = "\195\169?", ["\226\130"] = "??", ["\226\130\172\240\159\152\128"] =
        "\226\130\172\240\159\152\128", ["\128\226\130\172\193x"] = "?\226\130\172?x", ["\255\240\159\152\128"] =
        "?\240\159\152\128", [""] = "",
    } do
      assert.equal((shown:gsub("%?", "\239\191\189")), output.clean(text))
    end
  end)

  it("leaves nothing of secrets that hold or overlap each other, and short ones alone", function()
    assert.equal("a [redacted] b", known.hide("a abcdef b", { "abcd", "abcdef" }))
    assert.equal("[redacted]!", known.hide("abcdefgh!", { "abcde", "defgh" }))
    assert.equal("[redacted] and [redacted]", known.hide("a+b% and a+b%", { "a+b%" }))
    assert.equal("abc", known.hide("abc", { "abc", "b" }))
    assert.equal("[redacted], [redacted].", known.hide("abcd, efgh.", { "efgh", "abcd" }))
    assert.equal("[redacted]!", known.hide("abcdefg!", { "defg", "abcd" }))
    assert.equal("<[redacted]>", known.hide("<aaaaa>", { "aaaa" }))
    assert.equal("x[redacted]y", known.hide("xabcdefy", { "abcdef", "abcd" }))
  end)

  local function lines(first, last)
    local out = {}
    for i = first, last do out[#out + 1] = i .. "\n" end
    return table.concat(out)
  end

  it("is whole where it is not longer than it may be", function()
    for text, limits in pairs {
      [lines(1, 10)] = { lines = 10, bytes = 21 }, [lines(1, 9) .. "10"] = { lines = 10, bytes = 20 },
      [""] = { lines = 0, bytes = 0 }, ["\n"] = { lines = 1, bytes = 1 },
      ['"'] = { lines = 1, bytes = 4, as_json = true },
    } do
      assert.same({ text, false }, { output.cap(text, limits, "head") })
    end
  end)

  it("has its beginning, or both ends, when it has too many lines", function()
    local limits = { lines = 11, bytes = 10000 }
    assert.same({ lines(1, 8) .. "\n[... 11 bytes left out ...]\n", true },
      { output.cap(lines(1, 12), limits, "head") })
    assert.same({ lines(1, 8) .. "\n[... 9 bytes left out; the whole is in /tmp/all ...]\n", true },
      { output.cap(lines(1, 11) .. "x", limits, "head", "/tmp/all") })
    assert.same({ lines(1, 4) .. "\n[... 10 bytes left out ...]\n" .. lines(10, 13), true },
      { output.cap(lines(1, 13), limits, "ends") })
    assert.same({ lines(1, 4) .. "\n[... 10 bytes left out ...]\n" .. lines(10, 12) .. "13", true },
      { output.cap(lines(1, 12) .. "13", limits, "ends") })
  end)

  it("has its beginning, or both ends, when it has too many bytes", function()
    local limits = { lines = 100, bytes = 210 }
    assert.equal(("x"):rep(10) .. "\n[... 201 bytes left out ...]\n", (output.cap(("x"):rep(211), limits, "head")))
    assert.equal(("x"):rep(6) .. "\n[... 205 bytes left out; the whole is in /all ...]\n",
      (output.cap(("x"):rep(211), limits, "head", "/all")))
    assert.equal("aaaa\n[... 202 bytes left out ...]\nzzzz",
      (output.cap(("a"):rep(100) .. ("z"):rep(110), { lines = 9, bytes = 209 }, "ends")))
    assert.equal("a\nb\n\n[... 250 bytes left out ...]\n", (output.cap("a\nb\n" .. ("x"):rep(250),
      { lines = 100, bytes = 204 }, "head")))
  end)

  it("has its empty lines", function()
    local text = "\n\na\n\nb\n\n\nc\n\n\n"
    assert.equal("\n\na\n\n[... 9 bytes left out ...]\n", (output.cap(text, { lines = 6, bytes = 900 }, "head")))
    assert.equal("\n\n\n[... 9 bytes left out ...]\n\n\n", (output.cap(text, { lines = 7, bytes = 900 }, "ends")))
  end)

  it("is the note alone where there is no room for more", function()
    assert.equal("\n[... 300 bytes left out ...]\n", (output.cap(("x"):rep(300), { lines = 9, bytes = 10 }, "head")))
    assert.equal("\n[... 300 bytes left out ...]\n", (output.cap(("x"):rep(300), { lines = 9, bytes = 10 }, "ends")))
  end)

  it("is not cut within a character", function()
    local euro = "\226\128\191" -- of the lowest and the highest byte within characters
    for bytes = 210, 213 do
      local shown = output.cap(euro:rep(80), { lines = 9, bytes = bytes }, "head")
      assert.equal(euro:rep(math.floor((bytes - 200) / 3)), shown:match "^[^\n]*", bytes)
    end
    for bytes = 220, 226, 2 do
      local shown = output.cap(euro:rep(80), { lines = 9, bytes = bytes }, "ends")
      local kept = euro:rep(math.floor((bytes - 200) / 2 / 3))
      assert.equal(kept, shown:match "^[^\n]*", bytes)
      assert.equal(kept, shown:match "[^\n]*$", bytes)
    end
  end)

  it("fits as JSON, too, where it will stand in that", function()
    local text = ('"'):rep(5000)
    local shown, cut = output.cap(text, { lines = 10, bytes = 2000, as_json = true }, "head")
    assert.is_true(cut)
    assert.is_true(#json.encode(shown) <= 2000 and #json.encode(shown) > 1000)
    shown, cut = output.cap(('"'):rep(998), { lines = 10, bytes = 2000, as_json = true }, "head")
    assert.same({ 998, false }, { #shown, cut })
  end)
end)

describe("the kind of a file", function()
  it("is what its name says, else its first bytes", function()
    assert.equal("image/png", mime.of("a.PNG", "x"))
    assert.equal("application/gzip", mime.of("x/b.tar.gz", "x"))
    for data, kind in pairs {
      ["\137PNG\r\n\26"] = "image/png", ["\255\216\255\224"] = "image/jpeg", ["GIF89a"] = "image/gif",
      ["RIFF\1\0\0\0WEBPVP8"] = "image/webp", ["%PDF-1.7"] = "application/pdf", ["PK\3\4"] = "application/zip",
      ["\31\139\8"] = "application/gzip", ["text \195\169"] = "text/plain", ["a\255"] = "application/octet-stream",
      ["\0a"] = "application/octet-stream", [""] = "text/plain",
    } do
      assert.equal(kind, mime.of("README", data))
      assert.equal(kind, mime.of("file.unknown", data))
    end
  end)
end)

describe("an edit", function()
  local function apply(text, old, new, all)
    return edit.apply(text, { old_string = old, new_string = new, replace_all = all })
  end

  it("changes a text that is there once", function()
    assert.same({ "a X c", 1 }, { apply("a b c", "b", "X") })
    assert.same({ "a % c", 1 }, { apply("a ( c", "(", "%") })
  end)

  it("refuses none, several, and no change, and says where they are", function()
    local text, why = apply("a b c", "x", "y")
    assert.is_nil(text)
    assert.truthy(why:find "not in the file")
    text, why = apply("b\nb\n", "b", "y")
    assert.is_nil(text)
    assert.truthy(why:find "2 times %(lines 1, 2%)")
    assert.truthy(select(2, apply("\nb\nb", "b", "y")):find "2 times %(lines 2, 3%)")
    assert.truthy(select(2, apply(("a\nb\n"):rep(11), "a\nb", "y")):find
      "11 times %(lines 1, 3, 5, 7, 9, 11, 13, 15, 17, 19%)")
    assert.truthy(select(2, apply("if (x  then", "if (x then", "y")):find "other white space")
    assert.truthy(select(2, apply("if x  then", "if x then", "y")):find "other white space")
    assert.is_nil((apply("b", "b", "b")))
    assert.same({ "y\ny\n", 2 }, { apply("b\nb\n", "b", "y", true) })
    assert.same({ "yy", 2 }, { apply("bb", "b", "y", true) })
  end)
end)

describe("a patch", function()
  local function apply(text, body)
    local operations = assert(patch.parse("*** Begin Patch\n*** Update File: f\n" .. body .. "\n*** End Patch"))
    return patch.apply(text, operations[1].body)
  end

  it("changes lines by their context", function()
    assert.equal("a\nB\nc\n", apply("a\nb\nc\n", "@@\n a\n-b\n+B\n c"))
    assert.equal("a\nB\nc\n", apply("a\nb\nc\n", " a\n-b\n+B"))
    assert.equal("new\na\n", apply("a\n", "+new\n a"))
    assert.equal("a\nz\n", apply("a\n", "@@\n+z"))
    assert.equal("a\n", apply("a\nb\n", "-b"))
    assert.equal("f1\n  x\nf2\n  y\n", apply("f1\n  x\nf2\n  x\n", "@@ f2\n-  x\n+  y"))
    assert.equal("f1\nx\nf2\ny\n", apply("f1\nx\nf2\nx\n", "@@ f2\n f2\n-x\n+y")) -- named, and shown
    assert.equal("1\nA\n2\nB\n", apply("1\na\n2\nb\n", "@@\n-a\n+A\n@@\n-b\n+B"))
    assert.equal("x\ny\nx\nz\n", apply("x\ny\nx\ny\n", "@@\n x\n-y\n+z\n*** End of File"))
    assert.equal("a \nB\n", apply("a \nb\n", " a\n-b\n+B")) -- what stays is as the file has it
    assert.equal("a\nb", apply("a\nc", " a\n-c\n+b"))
    assert.equal("a \nb\t\nc\nD\n", apply("a \nb\t\nc\nd\n", " a\n b\n c\n-d\n+D"))
    assert.equal("1\n2\n3\n", apply("1\na\n2\nb\n3\n", "@@\n-a\n@@\n-b"))
  end)

  it("looks for them behind the lines that @@ names, from the first that fits", function()
    assert.equal("b\na\n", apply("a\na\n", "@@\n-a\n+b"))
    assert.equal("b\na\n", apply("a\na\n", "@@ -1,2 +1,2 @@\n-a\n+b"))
    assert.equal("1\nx\na\n2\ny\nb\n", apply("1\na\n2\nb\n", "@@ 1\n+x\n@@ 2\n+y"))
    assert.equal("f(x)\ny\nx\nf(x)\nx\n", apply("f(x)\nx\nx\nf(x)\nx\n", "@@ f(x)\n-x\n+y"))
    assert.equal("x\ny\nz\n", apply("x\ny\nx\n", "@@ x\n-x\n+z"))
    assert.equal("a\nz\n", apply("a\nx\n", "@@ x\n-x\n+z")) -- which may be among them
    assert.equal("c1\n m1\nc2\n m1!\n", apply("c1\n m1\nc2\n m1\n", "@@ c2\n@@ m1\n- m1\n+ m1!"))
  end)

  it("that does not fit says which lines", function()
    for _, body in ipairs { "-x\n+y", "@@ nowhere\n-a\n+b", "?a", "@@" } do
      local text, why = apply("a\n", body)
      assert.is_nil(text)
      assert.truthy(#why > 10)
    end
    local long = ("x"):rep(600)
    for body, reason in pairs {
      ["?a"] = "line 1 begins with neither ' ', '-', '+' nor '@@': ?a",
      ["?" .. long] = "line 1 begins with neither ' ', '-', '+' nor '@@': ?" .. long:sub(1, 79),
      ["@@ " .. long .. "\n-a"] = "the line after @@ is not in the file: " .. long:sub(1, 100),
      ["-" .. long] = "these lines are not in the file:\n" .. long:sub(1, 500),
      ["-a\n*** Move to: b"] = "line 2 begins with neither ' ', '-', '+' nor '@@': *** Move to: b",
    } do
      assert.equal(reason, select(2, apply("a\n", body)))
    end
    for _, text in ipairs { "", "\n \n", "x", "*** Begin Patch", "*** Begin Patch\n*** End Patch",
      "*** Begin Patch\n+a\n*** End Patch",
      "*** Begin Patch\n*** Delete File: a\n-x\n*** End Patch" } do
      local operations, why = patch.parse(text)
      assert.is_nil(operations)
      assert.is_string(why)
    end
  end)

  it("may have empty lines around it", function()
    assert.same({ { kind = "delete", path = "a", body = {} } },
      patch.parse "\n \n*** Begin Patch\n*** Delete File: a\n*** End Patch\n\n")
  end)
end)

describe("a pattern of paths", function()
  it("means what people mean by it", function()
    for pattern, cases in pairs {
      ["*.lua"] = { "a.lua", "x/y/a.lua", "!a.luac" },
      ["src/**/*.lua"] = { "src/a.lua", "src/x/a.lua", "src/x/y/a.lua", "!a.lua" },
      ["src/*.lua"] = { "src/a.lua", "!src/x/a.lua" }, ["a?[0-9]"] = { "ab1", "!abc" }, ["**"] = { "a", "a/b" },
      ["a+(b).c"] = { "a+(b).c", "!aab.c" }, ["[!a]b"] = { "cb", "!ab" }, ["a["] = { "a[" },
      ["src/*"] = { "src/a", "!src/a/b", "!src" },
    } do
      local fits = globs.matcher(pattern)
      for _, path in ipairs(cases) do
        local name = path:match "^!(.*)"
        assert.equal(name == nil, fits(name or path), pattern .. " " .. path)
      end
    end
  end)
end)

describe("a patch of files", function()
  local function apply(files, body, folder)
    local operations = assert(patch.parse("*** Begin Patch\n" .. body .. "\n*** End Patch"))
    return patches.apply(memory_box.new(files), operations, folder)
  end

  it("adds, changes, moves and deletes them, below a folder where there is one", function()
    local files = { ["w/a"] = "1\n2\n", ["w/b"] = "b", ["w/c"] = "c" }
    local data, more = apply(files, "*** Update File: a\n-1\n+one\n*** Update File: b\n*** Move to: d/b\n"
      .. "*** Delete File: c\n*** Add File: e\n+e", "w")
    assert.same({ ["w/a"] = "one\n2\n", ["w/d/b"] = "b", ["w/e"] = "e\n" }, files)
    assert.same({ { path = "w/a", change = "updated" }, { path = "w/d/b", change = "moved from w/b" },
      { path = "w/c", change = "deleted" }, { path = "w/e", change = "added" } }, data.files)
    assert.equal("w/a: updated\nw/d/b: moved from w/b\nw/c: deleted\nw/e: added", more.text)
    files = { a = "1\n" }
    data = apply(files, "*** Update File: a\n*** Move to: b\n-1\n+2")
    assert.same({ b = "2\n" }, files)
    assert.same({ { path = "b", change = "moved from a" } }, data.files)
    files = { a = "1\n" }
    assert.truthy(apply(files, "*** Update File: a\n*** Move to: b\n+2"))
    assert.same({ b = "1\n2\n" }, files)
  end)

  it("that does not fit changes nothing, and says where", function()
    for body, why in pairs {
      ["*** Delete File: folder"] = "folder: it is a folder", ["*** Delete File: none"] = "none: no such file",
      ["*** Add File: a\n+x"] = "a: there is such a file already", ["*** Add File: new\nx"] =
        "new: line 1 of a new file does not begin with '+'", ["*** Update File: none\n-a\n+b"] = "none: no such file",
      ["*** Update File: a\n-x\n+b"] = "a: these lines are not in the file:\nx",
    } do
      local files = { a = "1\n", b = "2\n", folder = false }
      local data, text = apply(files, "*** Update File: b\n-2\n+3\n" .. body)
      assert.is_nil(data)
      assert.equal(why .. "\nNothing was changed.", text)
      assert.same({ a = "1\n", b = "2\n", folder = false }, files)
    end
    local data, text = apply({ a = "1\n" }, "*** Update File: a\n-1\n+2\n*** Delete File: a")
    assert.is_nil(data)
    assert.equal("a is in the patch twice; nothing was changed", text)
  end)

  it("that fails midway says how many of them were changed", function()
    local files = { a = "1\n" }
    local data, text = apply(files, "*** Update File: a\n-1\n+2\n*** Add File: full\n+x\n*** Delete File: a2",
      nil)
    assert.is_nil(data)
    assert.equal("a2: no such file\nNothing was changed.", text)
    data, text = apply(files, "*** Update File: a\n-1\n+2\n*** Add File: full\n+x")
    assert.is_nil(data)
    assert.equal("full: no space\n1 of 2 files were changed.", text)
    assert.same({ a = "2\n" }, files)
  end)
end)
