-- Trees and many files of a sandbox: what its answers are taken for, and what is refused in
-- them. No server; scripts run in a shell here where they run at all.

local core = require "daytona.base.native"
local failure = require "daytona.http.failure"
local gitignore = require "daytona.base.gitignore"
local json = require "daytona.http.json"
local pace = require "daytona.toolbox.fs.pace"
local remotetree = require "daytona.toolbox.fs.remotetree"
local support = require "spec.support.canned"

local kind_of = support.kind_of

local EXEC = "POST /process/execute"

local canned, sb, fs

local function daemon(routes)
  canned = support.start(routes)
  sb, fs = canned.sandbox, canned.sandbox.fs
end
after_each(support.stop)

local function last() return canned.requests[#canned.requests] end

local function output(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

-- Answers a command as the shell here does.
local function run_here(request)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(request.json.command)
  file:close()
  local said = output(("sh %s; echo $?"):format(path))
  os.remove(path)
  local result, code = said:match "^(.-)(%d+)\n$"
  return { exitCode = tonumber(code), result = result }
end

describe("the list of a tree", function()
  -- What is made of such a list: entries, whether it is complete, or what went wrong.
  local function scanned(entries, fields)
    fields = fields or {}
    local text = "tree\n" .. core.base64(entries) .. "\n" .. core.base64(fields.links or "") .. "\n"
      .. core.base64(fields.rules or "") .. "\n" .. core.base64(fields.hashes or "") .. "\n"
    daemon { [EXEC] = { exitCode = 0, result = fields.result or text } }
    local answer, err = remotetree.scan(sb, "sync", "root", { pace = pace.new "sync", rules = fields.with_rules,
      hashes = fields.hashes and true, tools = fields.tools })
    if not answer then return kind_of(nil, err), err.message end
    return answer.entries, answer.complete, answer.instead
  end

  it("has files, folders and links, with modes, sizes and times", function()
    local entries, complete = scanned(("81a4 3 100.250000000 ./a b//\n41ed 4096 -1.250000000 ./d//\n"
      .. "a1ff 2 7 ./d/l//\n1180 0 9 ./pipe//\n81b6 9007199254740991 -5 ./x\n//y//\n0\n"):gsub("x\n//y", "xy"),
      { links = "./d/l\0to\n\0./a b\0no\0./none\0x\0" })
    assert.is_true(complete)
    assert.same({ type = "file", size = 3, mode = 420, seconds = 100, nanoseconds = 250000000 }, entries["a b"])
    assert.same({ type = "directory", size = 4096, mode = 493, seconds = -2, nanoseconds = 750000000 }, entries.d)
    assert.same({ type = "link", size = 2, mode = 511, seconds = 7, nanoseconds = 0, target = "to" }, entries["d/l"])
    assert.equal("other", entries.pipe.type)
    assert.same({ 9007199254740991, -5, 0 }, { entries.xy.size, entries.xy.seconds, entries.xy.nanoseconds })
    assert.same({ {}, true }, { scanned "0\n" })
    assert.same({ {}, false }, { scanned "  2\n" })
  end)

  it("may lie, and is not believed", function()
    local function refused(words, ...)
      local kind, message = scanned(...)
      assert.equal("protocol", kind)
      assert.truthy(message:find(words, 1, true), message)
    end
    for _, path in ipairs { "../x", "a/../b", "a//b", "/a", "a/.", "a/", "a\0b", ".", "" } do
      refused("names a file outside", "81a4 1 1 ./" .. path .. "//\n0\n")
    end
    for _, numbers in ipairs { "123456789 1 1", "81a4 9007199254740992 1", "81a4 1 9007199254740992",
      "81a4 1 -9007199254740992", "81a4 1 1.1234567890" } do
      refused("size or time that cannot be", numbers .. " ./a//\n0\n")
    end
    refused("no directory", "81a4 1 1 ./d/f//\n0\n")
    refused("no directory", "81a4 1 1 ./d//\n81a4 1 1 ./d/f//\n0\n")
    refused("it is cut", "81a4 1 1 ./d//\n")
    refused("it is cut", "81a4 1 1 ./d")
    refused("it is malformed", "", { result = "tree\n!\n\n\n\n" })
    refused("not what was asked for", "", { result = "tree\n" })
    refused("not what was asked for", "", { result = "other words\n" })
    local longest = ("a"):rep(4095)
    assert.is_table((scanned("81a4 1 1 ./" .. longest .. "//\n0\n"))[longest])
    assert.equal("too_large too_large", (scanned("81a4 1 1 ./a" .. longest .. "//\n0\n")))
  end)

  it("may say that there is none", function()
    for _, instead in ipairs { "none", "other", "closed" } do
      local entries, complete, said = scanned("", { result = instead .. "\n" })
      assert.same({ nil, true, instead }, { entries, complete, said })
    end
    local kind, message = scanned("", { result = "lacks stat\n" })
    assert.equal("unsupported", kind)
    assert.truthy(message:find("'stat'", 1, true))
    daemon { [EXEC] = { 503 } }
    local _, err = remotetree.scan(sb, "sync", "root", { pace = pace.new "sync" })
    assert.same({ "unavailable", "sync", "root" }, { err.kind, err.operation, err.what })
    daemon { [EXEC] = { 408, json.encode { message = "x", code = "PROCESS_EXECUTION_TIMEOUT" } } }
    _, err = remotetree.scan(sb, "sync", "root", { pace = pace.new("sync", 5) })
    assert.same({ "timeout timeout", "sync", "root" }, { kind_of(nil, err), err.operation, err.what })
  end)

  it("brings rules and digests where they are asked for", function()
    local rules = gitignore.new()
    local digest = ("0123456789abcdef"):rep(4)
    local entries = scanned("81a4 1 1 ./a//\n41ed 1 1 ./d//\n81a4 1 1 ./d/b\\\n//\n81a4 1 1 ./c\nd//\n0\n", {
      rules = "./.gitignore\0*.o\n\0./d/.gitignore\0/x\0", with_rules = rules, tools = "cut",
      hashes = digest:sub(2) .. "  ./a\n" .. digest .. "  ./a\n\\" .. digest .. "  ./d/b\\\\\\n\n" .. digest
        .. " *./c\nd\n" .. digest .. "  ./gone\n",
    })
    assert.same({ digest, digest, digest }, { entries.a.hash, entries["d/b\\\n"].hash, entries["c\nd"].hash })
    assert.is_true(rules:hides("x/y.o", false))
    assert.is_true(rules:hides("d/x", false))
    assert.is_false(rules:hides("x", false))
    assert.truthy(last().json.command:find("find stat base64 tr sha256sum cut", 1, true))
    assert.truthy(last().json.command:find("root=./root", 1, true))
  end)

  it("is what a shell says of a folder here", function()
    local folder = output("mktemp -d"):match "[^\n]+"
    finally(function() os.execute("rm -rf " .. folder) end)
    os.execute(("cd %s && mkdir d && printf abc >d/f && chmod 640 d/f && ln -s f d/l && touch -d @5.5 d/f && "
      .. "printf '*.o' >.gitignore && mkdir .daytona-sync-x"):format(folder))
    daemon { [EXEC] = run_here }
    local rules = gitignore.new()
    local answer = assert(remotetree.scan(sb, "sync", folder, { pace = pace.new "sync", rules = rules, hashes = true }))
    assert.is_true(answer.complete)
    local digest = core.hex(core.sha256 "abc")
    assert.same({ type = "file", size = 3, mode = 416, seconds = 5, nanoseconds = 500000000, hash = digest },
      answer.entries["d/f"])
    assert.same({ "f", "directory", nil }, { answer.entries["d/l"].target, answer.entries.d.type,
      answer.entries[".daytona-sync-x"] })
    assert.is_true(rules:hides("a.o", false))
    assert.equal("none", assert(remotetree.scan(sb, "sync", folder .. "/no", { pace = pace.new "sync" })).instead)
    assert.equal("other", assert(remotetree.scan(sb, "sync", folder .. "/d/f", { pace = pace.new "sync" })).instead)
  end)
end)

describe("a change of a tree", function()
  local folder
  before_each(function() folder = output("mktemp -d"):match "[^\n]+" end)
  after_each(function() os.execute("rm -rf " .. folder) end)

  local function sh(command) return output("cd " .. folder .. " && " .. command) end

  local function apply(change)
    daemon { [EXEC] = run_here }
    for _, name in ipairs { "moves", "replaced", "modes", "opened", "files", "folders" } do
      change[name] = change[name] or {}
    end
    change.pace = pace.new "sync"
    return remotetree.apply(sb, folder, change)
  end

  it("moves what came into its places, and removes what is to go", function()
    sh "mkdir -p d/gone s/sub && echo old >d/f && echo x >d/gone/x && echo y >d/y && mkdir was && echo 1 >was/1"
    sh "mkdir -p t/d t/new && echo new >t/d/f && echo n >t/new/n && echo w >t/was"
    sh "tar cf s/tree.tar -C t . && rm -rf t"
    local paths = {}
    for i = 1, 401 do
      paths[i] = "many " .. i
      sh(("touch 'many %d'"):format(i))
    end
    paths[#paths + 1] = "d/y"
    paths[#paths + 1] = "d/gone/x"
    assert.is_true(apply { staging = "s", moves = { d = { "d/f" }, [""] = { "new", "was" } }, replaced = { "was" },
      files = paths, folders = { "d/gone", "no such folder" },
      modes = { [384] = { "d/f", "was" }, [448] = { "new" } } })
    assert.equal("./d\n./d/f\n./new\n./new/n\n./was\n", sh "find . -mindepth 1 | sort")
    assert.equal("new\n600 700 600\n", sh "cat d/f; echo $(stat -c %a d/f new was)")
  end)

  it("opens folders meanwhile, and leaves them as they are to be", function()
    sh "mkdir -p a/b && touch a/b/f"
    assert.is_true(apply { opened = { { path = "a", mode = 365 }, { path = "a/b", mode = 320 } }, files = { "a/b/f" } })
    assert.equal("555 500\n", sh "echo $(stat -c %a a a/b)")
    sh "chmod -R 700 a"
    assert.equal("", sh "find a -type f")
  end)

  it("merges folders, and fails where a folder is to be a file", function()
    sh "mkdir -p s d/e && touch d/e/old d/k && mkdir -p t/d/e t/x && touch t/d/e/new t/d/.hidden && echo 5 >t/x/k"
    sh "tar cf s/tree.tar -C t . && rm -rf t"
    assert.is_true(apply { staging = "s", moves = { [""] = { "d" } } })
    assert.equal("d/.hidden\nd/e/new\nd/e/old\nd/k\n", sh "find d -type f | sort")
    sh "mkdir -p s t && echo f >t/d && tar cf s/tree.tar -C t . && rm -rf t"
    local none, err = apply { staging = "s", moves = { [""] = { "d" } } }
    assert.same({ nil, "conflict" }, { none, err.kind })
    assert.equal("d/e/new\n", sh "test -e s && echo s; ls d/e/new")
    sh "mkdir s"
    none, err = apply { staging = "s", moves = {} } -- no archive
    assert.same({ nil, "io" }, { none, err.kind })
    assert.truthy(err.message:find("^over there: "), err.message)
  end)

  it("fails as the command does", function()
    local function with(answer, limit)
      daemon { [EXEC] = answer }
      return kind_of(remotetree.apply(sb, "root", { moves = {}, replaced = {}, modes = {}, opened = {}, files = {},
        folders = {}, pace = pace.new("sync", limit) }))
    end
    assert.equal(true, with { exitCode = 0, result = "" })
    assert.equal("conflict", with { exitCode = 73, result = "x" })
    assert.equal("io FILE_NO_SPACE", with { exitCode = 1, result = "odd\ntar: x: No space left on device\n" })
    assert.equal("forbidden", with { exitCode = 1, result = "mv: x: Permission denied\n" })
    assert.equal("io", with { exitCode = 1, result = "odd\n" })
    assert.equal("unavailable", with { 503 })
    assert.equal("timeout timeout", with { 408, json.encode { message = "x", code = "PROCESS_EXECUTION_TIMEOUT" } })
  end)
end)

describe("many files that are fetched", function()
  local MANY = "POST /files/bulk-download"
  local TYPE = { ["content-type"] = 'multipart/form-data; boundary="B"' }

  local function part(name, text, length)
    return "--B\r\nContent-Disposition: form-data; name=\"" .. name .. "\"; filename=\"f\"\r\n"
      .. (length and "Content-Length: " .. length .. "\r\n" or "") .. "\r\n" .. text .. "\r\n"
  end

  local function of(body, err, more)
    local pieces = type(body) == "table" and body or { body }
    local routes = more or {}
    routes[MANY] = { 200, pieces, TYPE, err }
    daemon(routes)
  end

  -- "path data" or "path kind" of each.
  local function fetched(list, opts)
    local results, err = fs:download_many(list, opts)
    local out = {}
    for i, result in ipairs(results or err.results or {}) do
      out[i] = result.path .. " " .. (result.error and kind_of(nil, result.error) or result.data or result.size)
    end
    return out, err and kind_of(nil, err), err
  end

  it("come in the order in which they were asked for, or not each for itself", function()
    of(part("file", "one", 3) .. part("error", '{"message":"gone","statusCode":404}')
      .. part("error", "permission denied") .. part("error", "x not found") .. part("error", "odd")
      .. part("file", "", 0) .. "--B--\r\n")
    local got, kind, err = fetched { "a", "b", "c", "d", "e", "f" }
    assert.same({ "a one", "b not_found", "c forbidden", "d not_found", "e invalid", "f " }, got)
    assert.same({ "not_found", "b", "download_many" }, { kind, err.what, err.operation })
    assert.truthy(err.message:find("4 of 6 files failed", 1, true), err.message)
    assert.same({ paths = { "a", "b", "c", "d", "e", "f" } }, last().json)
    assert.same({ true, 1800, 60 }, { last().safe, last().timeout, last().idle_timeout })
    for size = 1, 40, 3 do
      local text, pieces = part("file", "one", 3) .. part("file", "two", 3) .. "--B--\r\n", {}
      for i = 1, #text, size do pieces[#pieces + 1] = text:sub(i, i + size - 1) end
      of(pieces)
      assert.same({ "a one", "b two" }, (fetched { "a", "b" }))
    end
    of(part("file", "one", 3) .. "--B--\r\n")
    assert.same({ { path = "a", data = "one", size = 3 } }, fs:download_many { "a" })
    assert.same({}, fs:download_many {})
  end)

  it("go to paths, files and functions", function()
    of(part("file", "one", 3) .. part("file", "two", 3) .. part("file", "three", 5) .. part("file", "four", 4)
      .. "--B--\r\n")
    local folder = output("mktemp -d"):match "[^\n]+"
    finally(function() os.execute("rm -rf " .. folder) end)
    local file, given = assert(io.tmpfile()), {}
    local results = assert(fs:download_many { { "a/x", folder .. "/" }, { "b", folder .. "/y" }, { "c", file },
      { "d", function(chunk) given[#given + 1] = chunk end } })
    file:seek "set"
    assert.same({ "one", "two", "three", "four" }, { output("cat " .. folder .. "/x"), output("cat " .. folder .. "/y"),
      file:read "*a", table.concat(given) })
    assert.same({ folder .. "/x", folder .. "/y", nil, 4 }, { results[1].saved_as, results[2].saved_as,
      results[3].saved_as, results[4].size })
    of(part("file", "one", 3) .. part("file", "two", 3) .. "--B--\r\n")
    results = assert(fs:download_many { { "a", "/dev/null" }, { "b", "/dev/null" } })
    assert.same({ "/dev/null", 3, "/dev/null" }, { results[1].saved_as, results[1].size, results[2].saved_as })
    of(part("file", "one", 3) .. part("file", "two", 3) .. "--B--\r\n")
    assert.same({ "a io", "b two" }, (fetched { { "a", folder .. "/no/x" }, "b" }))
    of(part("file", "one", 3) .. part("file", "two", 3) .. "--B--\r\n")
    local got = fetched({ { "a", function() return false, "full" end }, "b" })
    assert.same({ "a io", "b two" }, got)
  end)

  it("are no more than is allowed", function()
    of(part("file", "one", 3) .. part("file", "two", 3) .. "--B--\r\n")
    assert.same({ "a one", "b two" }, (fetched({ "a", "b" }, { max_bytes = 6 })))
    assert.same({ "a one", "b too_large" }, (fetched({ "a", "b" }, { max_bytes = 5 })))
  end)

  it("in answers that are none fail", function()
    of(part("file", "one", 3) .. "--B--\r\n")
    local got, _, err = fetched { "a", "b" }
    assert.same({ "a one", "b protocol" }, got)
    assert.truthy(err.cause.message:find("fewer parts", 1, true))
    of(part("file", "1", 1) .. part("file", "2", 1) .. part("file", "3", 1) .. "--B--\r\n")
    assert.same({ "a 1", "b 2" }, (fetched { "a", "b" }))
    daemon { [MANY] = { 503 } }
    assert.equal("unavailable", select(2, fetched { "a" }))
  end)

  it("that did not come whole are asked for again", function()
    local lost = failure.from_transport "truncated"
    local n = 0
    daemon { [MANY] = function()
      n = n + 1
      if n == 1 then return { 200, { part("file", "one", 3) .. part("file", "tw", 3) }, TYPE, lost } end
      return { 200, { part("file", "three", 5) .. "--B--\r\n" }, TYPE }
    end, ["GET /files/download"] = "two" }
    sb:toolbox().max_retries = 2
    assert.same({ "a one", "b two", "c three" }, (fetched { "a", "b", "c" }))
    assert.same({ MANY, MANY, "GET /files/download" }, canned:asked())
    n = 0
    sb:toolbox().max_retries = 0
    assert.same({ "a one", "b connection truncated", "c connection truncated" }, (fetched { "a", "b", "c" }))
    -- A function has had a part of it.
    n = 0
    sb:toolbox().max_retries = 2
    assert.same({ "a one", "b connection truncated", "c three" }, (fetched { "a", { "b", function() end }, "c" }))
    -- One that grew while it was sent.
    of(part("file", "once", 3) .. part("file", "two", 3) .. "--B--\r\n", nil, { ["GET /files/download"] = "one" })
    assert.same({ "a one", "b two" }, (fetched { "a", "b" }))
    of(part("file", "once", 3) .. part("file", "two", 3) .. "--B--\r\n")
    assert.same({ "a conflict", "b two" }, (fetched { { "a", function() end }, "b" }))
  end)
end)

describe("many files that are sent", function()
  local UPLOAD = "POST /files/bulk-upload"
  local sent -- "name=content" of each

  -- What stands between the marks of a body.
  local function parts_of(body, mark)
    local at = select(2, body:find(mark, 1, true))
    return function()
      local from, stop, last_one = at + 1, body:find(mark, at, true)
      at = last_one
      return stop and body:sub(from, stop - 1) or nil
    end
  end

  -- The daemon's word on what came: `change(i, name, content)` may say otherwise.
  local function of(change)
    sent = {}
    daemon { [EXEC] = { exitCode = 0, result = "" }, ["DELETE /files"] = true, [UPLOAD] = function(request)
      if request.parts then return { 400, '{"message":"permission denied"}' } end -- one file, in its place
      local boundary = request.headers["Content-Type"]:match "boundary=(.*)$"
      local files, problems, names = json.array(), json.array(), {}
      for part in parts_of(request.got, "--" .. boundary) do
        local head, content = part:match "^\r\n(.-)\r\n\r\n(.*)\r\n$"
        local i, what = head:match 'name="files%[(%d+)%]%.(%w+)"'
        if what == "path" then names[i] = content else
          sent[#sent + 1] = names[i]:match "[^/]*$" .. "=" .. content
          local said, problem = { path = names[i], bytes = #content }, nil
          if change then said, problem = change(tonumber(i), names[i], content) end
          if problem then problems[#problems + 1] = problem elseif said then files[#files + 1] = said end
        end
      end
      return { problems[1] and 400 or 200, json.encode { files = files, errors = problems[1] and problems or nil } }
    end }
  end

  -- The path and size, or the kind, of each.
  local function uploaded(list, opts)
    local results, err = fs:upload_many(list, opts)
    local out = {}
    for i, result in ipairs(results or err.results or {}) do
      out[i] = result.path .. " " .. (result.error and kind_of(nil, result.error) or tostring(result.size))
    end
    return out, err
  end

  it("go in one request, whatever they come from, and are put in their places by one command", function()
    local path = os.tmpname()
    os.execute("printf here >" .. path)
    finally(function() os.remove(path) end)
    local file = assert(io.tmpfile())
    file:write "skipped, open"
    file:seek("set", 9)
    local chunks = { "fun", "ction" }
    of()
    assert.same({ "d/a 4", "d/b 4", "c 4", "e 8" }, (uploaded { { path, "d/a" }, { { data = "data" }, "d/b" },
      { file, "c" }, { function() return table.remove(chunks, 1) end, "e" } }))
    assert.same({ "a=here", "b=data", "c=open", "e=function" }, sent)
    assert.same({ UPLOAD, EXEC }, canned:asked())
    local request = canned.requests[1]
    assert.same({ nil, 1800, 60 }, { request.body_length, request.timeout, request.idle_timeout })
    of()
    assert.same({ "a 1", "b 0" }, (uploaded({ { { data = "x" }, "a" }, { { data = "" }, "b" } },
      { timeout = 9, idle_timeout = 2 })))
    request = canned.requests[1]
    assert.same({ #request.got, 9, 2 }, { request.body_length, request.timeout, request.idle_timeout })
    assert.is_false(request.rewind() == nil)
    assert.same({}, fs:upload_many {})
  end)

  it("fail each for itself", function()
    of(function(i, name, content)
      if i == 1 then return nil, name .. ": permission denied" end
      if i == 2 then return { path = name, bytes = 1 } end
      if i == 3 then return nil end
      return { path = name, bytes = #content }
    end)
    local got, err = uploaded { { { data = "one" }, "a" }, { { data = "two" }, "b" }, { { data = "three" }, "c" },
      { { data = "four" }, "d" }, { "/nonexistent/x", "e" }, { "/", "f" } }
    assert.same({ "a 3", "b forbidden", "c connection truncated", "d invalid", "e io", "f io" }, got)
    assert.equal("upload_many", err.operation)
    of(function(i, name, content) return i ~= 1 and { path = name, bytes = #content } or nil end)
    assert.same({ "a 3", "b protocol" }, (uploaded { { { data = "one" }, "a" }, { { data = "two" }, "b" } }))
    daemon { [EXEC] = { exitCode = 0, result = "" }, [UPLOAD] = { 503 }, ["DELETE /files"] = true }
    assert.equal("unavailable", select(2, fs:upload_many { { { data = "x" }, "a" } }).kind)
    for _, odd in ipairs { { "x" }, { { { data = "x" }, "d/" } }, { { { data = "x" }, "" } }, { { 5, "a" } } } do
      assert.is_false(pcall(fs.upload_many, fs, odd))
    end
  end)
end)
