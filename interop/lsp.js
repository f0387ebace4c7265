// Language servers: the stand-in of the specs for Python, and the real one for
// TypeScript where it is installed.
import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { skip, step } from './steps.js'

const standIn = fileURLToPath(new URL('../spec/support/bin/pylsp', import.meta.url))

async function python(sandbox, home) {
  let server
  const file = `${home}/project/a.py`

  await step('start a language server', async () => {
    await sandbox.fs.uploadFile(standIn, 'bin/pylsp')
    await sandbox.fs.setFilePermissions('bin/pylsp', { mode: '755' })
    const path = (await sandbox.process.executeCommand('echo "$PATH"')).result.trim()
    await sandbox.updateEnv({ PATH: `${home}/bin:${path}` })
    await sandbox.fs.uploadFile(Buffer.from('def first():\n  pass\ndef second(): pass\n'), file)
    server = await sandbox.createLspServer('python', `${home}/project`)
    await assert.rejects(server.didOpen(file), (e) => e.statusCode === 400)
    await server.start()
    await server.start()
  })

  await step('symbols of a document and of a project', async () => {
    await server.didOpen(file)
    assert.deepEqual((await server.documentSymbols(file)).map((s) => s.name), ['first', 'second'])
    const found = await server.sandboxSymbols('sec')
    assert.deepEqual(found.map((s) => [s.name, s.location.range.start.line]), [['second', 2]])
  })

  await step('completions, also at the beginning of a document', async () => {
    const { isIncomplete, items } = await server.completions(file, { line: 0, character: 0 })
    assert.equal(isIncomplete, false)
    assert.equal(items[0].label, '0:0:None')
    assert.equal((await server.completions(file, { line: 2, character: 5 })).items[0].label, '2:5:None')
  })

  await step('close a document, stop the server', async () => {
    await server.didClose(file)
    assert.deepEqual(await server.sandboxSymbols('sec'), [])
    await server.stop()
    await assert.rejects(server.documentSymbols(file), (e) => e.statusCode === 400)
  })
}

async function typescript(sandbox, home) {
  const name = 'symbols found by the TypeScript language server'
  const r = await sandbox.process.executeCommand('command -v typescript-language-server')
  if (r.exitCode !== 0) return skip(name, 'typescript-language-server is not installed')
  await step(name, async () => {
    const file = `${home}/project/a.ts`
    await sandbox.fs.uploadFile(Buffer.from('export function greet(): void {}\n'), file)
    const server = await sandbox.createLspServer('typescript', `${home}/project`)
    await server.start()
    await server.didOpen(file)
    assert.ok((await server.documentSymbols(file)).some((s) => s.name === 'greet'))
    await server.stop()
  })
}

export default async function (sandbox) {
  const home = await sandbox.getUserHomeDir()
  await python(sandbox, home)
  await typescript(sandbox, home)
}
