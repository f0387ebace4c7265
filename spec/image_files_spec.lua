-- The files of an image: what of a folder goes into a build, in which form, and what is
-- refused. The archives are read by tar.

local core = require "daytona.base.native"
local image = require "daytona.image"
local packer = require "daytona.image.archive"
local ignore = require "daytona.image.ignore"

describe("the files of an image", function()
  local files = require("spec.support.files").new()
  before_each(function() files:fresh() end)
  after_each(function() files:sweep() end)

  local function contexts_of(value)
    assert(value:dockerfile())
    return rawget(value, "contexts")
  end

  local function pack(value, n)
    return packer.pack(contexts_of(value)[n or 1])
  end

  -- The archive's bytes.
  local function bytes_of(archive)
    local file = archive:open(0)
    local text = file:read "*a"
    archive:give_back(file)
    return text
  end

  -- What tar says is in it: "-rw-r--r-- 0/0 5 1970-01-01 00:00 app/a".
  local function listing(archive)
    files:put("..tar", bytes_of(archive))
    local out = files:sh "TZ=UTC tar --numeric-owner -tvf ..tar | tr -s ' '"
    files:sh "rm ..tar"
    return out
  end

  local function dir(opts) return image.base "b:1":add_local_dir(files.folder .. "/app", "/srv", opts) end

  local function refusal(value, n)
    local archive, err = pack(value, n)
    assert.is_nil(archive)
    return err
  end

  it("have hashes of their pieces, and none where the archive ends before", function()
    files:sh "mkdir app"
    files:put("app/data", ("x"):rep(1000))
    local archive = assert(pack(dir()))
    local text = bytes_of(archive)
    assert.equal(core.hex(core.sha256(text:sub(2, 2))), assert(archive:hash_of(1, 1)))
    assert.equal(core.hex(core.sha256(text:sub(101, 300))), assert(archive:hash_of(100, 200)))
    local hash, err = archive:hash_of(1, archive.size)
    assert.is_nil(hash)
    assert.equal("io", err.kind)
  end)

  it("are one archive of names, contents and who may run what", function()
    files:sh "mkdir -p app/bin app/empty; echo one >app/b; echo two >app/bin/run"
    files:sh "chmod 700 app/bin/run; chmod 600 app/b"
    files:sh "touch -d '2001-01-01' app/b; chmod 500 app/empty; echo 3 >app/B; echo h >app/.hidden"
    local archive = assert(pack(dir()))
    assert.equal([[
drwxr-xr-x 0/0 0 1970-01-01 00:00 app/
-rw-r--r-- 0/0 2 1970-01-01 00:00 app/.hidden
-rw-r--r-- 0/0 2 1970-01-01 00:00 app/B
-rw-r--r-- 0/0 4 1970-01-01 00:00 app/b
drwxr-xr-x 0/0 0 1970-01-01 00:00 app/bin/
-rwxr-xr-x 0/0 4 1970-01-01 00:00 app/bin/run
drwxr-xr-x 0/0 0 1970-01-01 00:00 app/empty/
]], listing(archive))
    local bytes = bytes_of(archive)
    assert.equal(#bytes, archive.size)
    assert.equal(core.hex(core.sha256(bytes)), archive.hash)
    assert.equal(0, #bytes % 512)
    files:sh "chmod 700 app/empty"
  end)

  it("are the same bytes from another folder, at another time, of another umask", function()
    local function make(place)
      files:sh("mkdir -p " .. place .. "/app/x; cd " .. place
        .. "; for i in 9 1 5; do echo $i >app/x/$i; done; echo a >app/a")
      return assert(pack(image.base "b:1":add_local_dir(files.folder .. "/" .. place .. "/app", "/srv")))
    end
    local one = make "here"
    files:sh "umask 077; mkdir -p there/deep"
    local other = make "there/deep"
    files:sh "find there -exec touch -d '1999-09-09' {} +; chmod -R go= there; chgrp -R 1 there 2>/dev/null || true"
    local again = assert(pack(image.base "b:1":add_local_dir(files.folder .. "/there/deep/app", "/srv")))
    assert.equal(one.hash, other.hash)
    assert.equal(one.hash, again.hash)
    assert.is_true(bytes_of(one) == bytes_of(again))
    local before = os.setlocale(nil, "collate")
    os.setlocale("C.UTF-8", "collate")
    assert.equal(one.hash, assert(pack(image.base "b:1":add_local_dir(files.folder .. "/here/app", "/srv"))).hash)
    os.setlocale(before, "collate")
    files:sh "chmod +x here/app/a"
    local changed = assert(pack(image.base "b:1":add_local_dir(files.folder .. "/here/app", "/srv")))
    assert.not_equal(one.hash, changed.hash)
  end)

  it("keep long names, odd names and any bytes", function()
    local deep = ("d"):rep(90) .. "/" .. ("e"):rep(90)
    files:sh("mkdir -p app/" .. deep)
    files:put("app/" .. deep .. "/" .. ("f"):rep(90), ("\0\255\n"):rep(300000))
    files:put("app/sp ace \195\188\n'x", "odd")
    files:put("..tar", bytes_of(assert(pack(dir()))))
    files:sh "mkdir out; tar -C out -xf ..tar; rm ..tar"
    assert.equal("", files:sh "diff -r app out/app")
  end)

  it("are as they are when it is built, not when it was described", function()
    files:sh "mkdir app; echo one >app/a"
    local value = dir()
    local first = assert(pack(value)).hash
    files:sh "echo two >app/a"
    assert.not_equal(first, assert(pack(value)).hash)
    files:sh "rm -r app"
    assert.equal("not_found", refusal(value).kind)
  end)

  it("leave out what a .dockerignore says, and patterns", function()
    files:sh "mkdir -p app/node_modules/x app/src/tmp app/keep; cd app; touch .env a.log src/b.log src/c.lua src/tmp/t"
    files:sh "cd app; touch node_modules/x/y keep/secret keep/open"
    files:sh "cd app; printf '%s\\n' '# no' node_modules '**/*.log' '!src/b.log' keep '!keep/open' >.dockerignore"
    local function names(opts)
      return (listing(assert(pack(dir(opts)))):gsub("[^\n]* app/", ""))
    end
    assert.equal("\n.dockerignore\n.env\nkeep/open\nsrc/\nsrc/b.log\nsrc/c.lua\nsrc/tmp/\nsrc/tmp/t\n", names())
    assert.equal("\n.dockerignore\nkeep/open\nsrc/\nsrc/b.log\nsrc/c.lua\n", names { ignore = { ".env", "/src/tmp/" } })
    assert.equal("\nsrc/\nsrc/c.lua\n", names { ignore = { "*", "!src", "src/tmp", "src/*.log" } })
    assert.equal("invalid", refusal(dir { ignore = { "**" } }).kind)
    assert.matches("no file in it to be copied", refusal(dir { ignore = { "*" } }).message)
  end)

  it("are those that a Dockerfile copies, without what its .dockerignore says", function()
    files:sh "mkdir -p app/sub; cd app; printf 'FROM b:1\\nCOPY . /all\\nCOPY a.txt /a\\n' >Dockerfile"
    files:sh "cd app; touch a.txt sub/b no.txt"
    files:sh "cd app; printf 'no.txt\\n.dockerignore\\n' >.dockerignore"
    local value = image.from_dockerfile(files.folder .. "/app/Dockerfile")
    assert.equal("-rw-r--r-- 0/0 0 1970-01-01 00:00 a.txt\ndrwxr-xr-x 0/0 0 1970-01-01 00:00 sub/\n"
      .. "-rw-r--r-- 0/0 0 1970-01-01 00:00 sub/b\n", listing(assert(pack(value)))) -- the build has its own Dockerfile
    assert.equal("-rw-r--r-- 0/0 0 1970-01-01 00:00 a.txt\n", listing(assert(pack(value, 2))))
    files:sh "cd app; printf 'a.txt' >Dockerfile.dockerignore"
    local own = image.from_dockerfile(files.folder .. "/app/Dockerfile")
    assert.equal("left out by the .dockerignore", refusal(own, 2).message)
    -- what is added goes beside what the Dockerfile copies, not over it
    local more = value:add_local_file(files.folder .. "/app/no.txt", "/n")
    assert.matches('COPY %["1/no.txt", "/n"%]\n$', (assert(more:dockerfile())))
  end)

  it("are what links lead to, as long as that lies within", function()
    files:sh "mkdir -p app/real; echo x >app/real/f; chmod +x app/real/f"
    files:sh "ln -s real app/alias; ln -s real/f app/g; echo o >outside"
    assert.equal([[
drwxr-xr-x 0/0 0 1970-01-01 00:00 app/
drwxr-xr-x 0/0 0 1970-01-01 00:00 app/alias/
-rwxr-xr-x 0/0 2 1970-01-01 00:00 app/alias/f
-rwxr-xr-x 0/0 2 1970-01-01 00:00 app/g
drwxr-xr-x 0/0 0 1970-01-01 00:00 app/real/
-rwxr-xr-x 0/0 2 1970-01-01 00:00 app/real/f
]], listing(assert(pack(dir()))))
    files:sh "ln -s ../outside app/out"
    local err = refusal(dir())
    assert.equal("invalid", err.kind)
    assert.equal(files.folder .. "/app/out", err.what)
    assert.matches("leads out of the build context", err.message)
    assert.matches("app/out\n", listing(assert(pack(dir { strict_context = false }))))
    assert.is_nil(listing(assert(pack(dir { ignore = { "out" } }))):find("app/out", 1, true))
    files:sh "rm app/out; ln -s nowhere app/dangling"
    assert.matches("a link to nothing, 'nowhere'", refusal(dir()).message)
    files:sh "rm app/dangling; ln -s .. app/real/up"
    assert.matches("leads back to a folder above", refusal(dir { strict_context = false }).message)
    files:sh "rm app/real/up; ln -s app link"
    assert(pack(image.base "b:1":add_local_dir(files.folder .. "/link", "/srv"))) -- the program named it itself
  end)

  it("are refused where they are too much, no files, unreadable or changing", function()
    files:sh "mkdir app; head -c 3000000 /dev/zero >app/big; mkfifo app/pipe"
    local err = refusal(dir { max_bytes = 1048576 })
    assert.equal("too_large", err.kind)
    assert.matches("more than 1.0 MiB of files", err.message)
    assert.matches("neither a file nor a folder", refusal(dir()).message)
    files:sh "rm app/pipe; mkdir app/empty none"
    assert.matches("no file in it", refusal(image.base "b:1":add_local_dir(files.folder .. "/none", "/n")).message)
    local tree = require "daytona.image.tree"
    local list = tree.list
    finally(function() tree.list = list end)
    tree.list = function(of)
      local found = assert(list(of))
      files:sh "echo more >>app/big"
      return found
    end
    err = refusal(dir())
    assert.equal("conflict", err.kind)
    assert.matches("changed while it was read", err.message)
    tree.list = function(of)
      local found = assert(list(of))
      files:sh "rm app/big"
      return found
    end
    assert.equal("io", refusal(dir()).kind)
  end)

  it("leave no file behind", function()
    files:sh "mkdir app; echo one >app/a"
    local tmpname, name = os.tmpname, nil
    finally(function() os.tmpname = tmpname end) -- luacheck: ignore
    os.tmpname = function() -- luacheck: ignore
      name = tmpname()
      return name
    end
    local archive = assert(pack(dir()))
    assert.is_nil(core.lstat(name))
    assert.equal(archive.size, #bytes_of(archive))
    archive:close()
  end)
end)

describe("a .dockerignore", function()
  it("is read as the builder reads it", function()
    local rows = {
      { "a", "a", true }, { "a", "b/a", false }, { "a", "a/b", true }, { "/a/", "a/b", true }, { "./a//b",
        "a/b", true },
      { "**/a", "a", true }, { "**/a", "x/y/a", true }, { "a/**", "a/b/c", true }, { "*.log", "x.log", true },
      { "*.log", "d/x.log", false }, { "*/x", "a/x", true }, { "*/x", "x", false }, { "a?c", "abc", true },
      { "a\n!a/b", "a/b", false }, { "a\n!a/b", "a/c", true }, { "!a\na", "a", true }, { "# a", "# a", false },
      { "  a  ", "a", true }, { "\239\187\191a\r\n", "a", true }, { ".", "a", false }, { "[ab]", "b", true },
      { "*\n!keep", "keep/x", false }, { "*\n!keep\nkeep/x", "keep/x", true },
    }
    for _, row in ipairs(rows) do
      assert.equal(row[3], ignore.new(row[1]):ignores(row[2]), row[1] .. " : " .. row[2])
    end
  end)
end)
