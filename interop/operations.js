// The official TypeScript SDK does its daily work against the local server:
// DAYTONA_API_URL and DAYTONA_API_KEY say where. Whatever it complains about is
// a defect of the server. Ends with the line "N passed, N failed".
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createServer } from 'node:http'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Daytona, DaytonaNotFoundError } from '@daytona/sdk'

let passed = 0
let failed = 0

async function step(name, fn) {
  try {
    await fn()
    passed++
    console.log(`ok      ${name}`)
  } catch (e) {
    failed++
    console.log(`failed  ${name}\n${e.stack ?? e}`.replaceAll('\n', '\n        '))
  }
}

const scratch = mkdtempSync(join(tmpdir(), 'interop-'))

// A repository on this machine, served read-only as plain files; below /private
// it wants a user and a password.
function serveRepository() {
  const git = (...args) => execFileSync('git', args, { cwd: scratch, stdio: 'pipe' })
  const who = ['-c', 'user.name=Interop', '-c', 'user.email=interop@example.org']
  git('init', '-q', '-b', 'main', 'work')
  writeFileSync(join(scratch, 'work', 'hello.txt'), 'hello from git\n')
  git('-C', 'work', 'add', '.')
  git('-C', 'work', ...who, 'commit', '-q', '-m', 'first')
  git('-C', 'work', 'checkout', '-q', '-b', 'feature')
  writeFileSync(join(scratch, 'work', 'feature.txt'), 'a branch\n')
  git('-C', 'work', 'add', '.')
  git('-C', 'work', ...who, 'commit', '-q', '-m', 'second')
  git('-C', 'work', 'checkout', '-q', 'main')
  git('clone', '-q', '--bare', 'work', 'repo.git')
  git('-C', 'repo.git', 'update-server-info')

  const basic = 'Basic ' + Buffer.from('ada:secret').toString('base64')
  const server = createServer((request, response) => {
    let path = new URL(request.url, 'http://x').pathname
    if (path.startsWith('/private/')) {
      if (request.headers.authorization !== basic) {
        response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="git"' }).end()
        return
      }
      path = path.slice('/private'.length)
    }
    try {
      response.end(readFileSync(join(scratch, path)))
    } catch {
      response.writeHead(404).end()
    }
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}

const repositories = await serveRepository()
const repository = `http://127.0.0.1:${repositories.address().port}`
const client = new Daytona()
let sandbox

await step('create a sandbox', async () => {
  sandbox = await client.create({
    name: 'interop',
    language: 'python',
    labels: { purpose: 'interop' },
    envVars: { GREETING: 'bonjour' },
    autoStopInterval: 30,
  })
  assert.equal(sandbox.state, 'started')
  assert.equal(sandbox.name, 'interop')
  assert.equal(sandbox.labels.purpose, 'interop')
  assert.equal(sandbox.autoStopInterval, 30)
})

if (sandbox) {
  await step('get it by id and by name', async () => {
    assert.equal((await client.get(sandbox.id)).name, 'interop')
    assert.equal((await client.get('interop')).id, sandbox.id)
    await assert.rejects(client.get('no-such-sandbox'), DaytonaNotFoundError)
  })

  await step('list sandboxes, by label too', async () => {
    const all = []
    for await (const s of client.list()) all.push(s.id)
    assert.ok(all.includes(sandbox.id))
    const found = []
    for await (const s of client.list({ labels: { purpose: 'interop' } })) found.push(s.id)
    assert.deepEqual(found, [sandbox.id])
    for await (const s of client.list({ labels: { purpose: 'other' } })) assert.fail(s.id)
  })

  await step('execute a command', async () => {
    const r = await sandbox.process.executeCommand('echo "$GREETING, $NAME"; pwd; exit 3', '/tmp',
      { NAME: 'l\'été "42"' })
    assert.equal(r.exitCode, 3)
    assert.equal(r.result, 'bonjour, l\'été "42"\n/tmp\n')
    const plain = await sandbox.process.executeCommand('true')
    assert.equal(plain.exitCode, 0)
    assert.equal(plain.result, '')
  })

  await step('a command that takes too long', async () => {
    await assert.rejects(sandbox.process.executeCommand('sleep 30', undefined, undefined, 1))
  })

  await step('run code', async () => {
    const r = await sandbox.process.codeRun('import sys\nprint(sum(range(10)), *sys.argv[1:])',
      { argv: ['x', '--y=1'] })
    assert.equal(r.exitCode, 0)
    assert.equal(r.result.trim(), '45 x --y=1')
    assert.equal((await sandbox.process.codeRun('1/0')).exitCode, 1)
  })

  const bytes = Buffer.from(Array.from({ length: 300000 }, (_, i) => (i * 7) & 255))

  await step('upload a file, from memory and from disk', async () => {
    await sandbox.fs.uploadFile(bytes, 'data/bytes.bin')
    const local = join(scratch, 'report.csv')
    writeFileSync(local, 'a,b\n1,2\n')
    await sandbox.fs.uploadFile(local, 'data/report.csv')
    const r = await sandbox.process.executeCommand('cat data/report.csv; wc -c <data/bytes.bin')
    assert.equal(r.result.replace(/ /g, ''), 'a,b\n1,2\n300000\n')
  })

  await step('upload several files at once', async () => {
    await sandbox.fs.uploadFiles([
      { source: Buffer.from('one'), destination: 'many/1.txt' },
      { source: Buffer.from('two'), destination: 'many/two words.txt' },
    ])
    const r = await sandbox.process.executeCommand('cat many/*')
    assert.equal(r.result, 'onetwo')
  })

  await step('download a file, to memory and to disk', async () => {
    assert.ok(bytes.equals(await sandbox.fs.downloadFile('data/bytes.bin')))
    const local = join(scratch, 'copy.bin')
    await sandbox.fs.downloadFile('data/bytes.bin', local)
    assert.equal(statSync(local).size, bytes.length)
    assert.ok(bytes.equals(readFileSync(local)))
    await assert.rejects(sandbox.fs.downloadFile('data/none'), DaytonaNotFoundError)
  })

  await step('list files', async () => {
    const files = await sandbox.fs.listFiles('data')
    assert.deepEqual(files.map((f) => f.name).sort(), ['bytes.bin', 'report.csv'])
    const file = files.find((f) => f.name === 'bytes.bin')
    assert.equal(file.size, 300000)
    assert.equal(file.isDir, false)
    const top = await sandbox.fs.listFiles('.')
    assert.ok(top.some((f) => f.name === 'data' && f.isDir))
  })

  await step('clone a repository', async () => {
    await sandbox.git.clone(`${repository}/repo.git`, 'cloned')
    assert.equal((await sandbox.fs.downloadFile('cloned/hello.txt')).toString(), 'hello from git\n')
    await sandbox.git.clone(`${repository}/repo.git`, 'branch', 'feature')
    assert.equal((await sandbox.fs.downloadFile('branch/feature.txt')).toString(), 'a branch\n')
  })

  await step('clone with a password, right and wrong', async () => {
    const url = `${repository}/private/repo.git`
    await sandbox.git.clone(url, 'private', undefined, undefined, 'ada', 'secret')
    assert.equal((await sandbox.fs.downloadFile('private/hello.txt')).toString(), 'hello from git\n')
    await assert.rejects(sandbox.git.clone(url, 'refused', undefined, undefined, 'ada', 'wrong'),
      (e) => e.statusCode === 401)
  })

  await step('stop and start it; files stay', async () => {
    await sandbox.stop()
    assert.equal(sandbox.state, 'stopped')
    await sandbox.start()
    assert.equal(sandbox.state, 'started')
    assert.equal((await sandbox.process.executeCommand('cat data/report.csv')).result, 'a,b\n1,2\n')
  })

  await step('delete it', async () => {
    await sandbox.delete()
    let there = true
    for (const limit = Date.now() + 10000; there && Date.now() < limit;) {
      there = false
      for await (const s of client.list()) there ||= s.id === sandbox.id
    }
    assert.ok(!there, 'it is still listed')
    await assert.rejects(client.get(sandbox.id), DaytonaNotFoundError)
  })
}

await step('a client whose event socket is refused works all the same', async () => {
  const other = new Daytona({ useDeprecatedPolling: false })
  const brief = await other.create({}, { timeout: 30 })
  assert.equal((await brief.process.executeCommand('echo fine')).result, 'fine\n')
  await brief.delete()
  await other[Symbol.asyncDispose]()
})

await step('a wrong key is refused', async () => {
  const stranger = new Daytona({ apiKey: 'wrong' })
  await assert.rejects(stranger.get('interop'), (e) => e.statusCode === 401)
})

repositories.close()
rmSync(scratch, { recursive: true })
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
