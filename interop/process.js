// Commands and code that are waited for.
import assert from 'node:assert/strict'
import { step } from './steps.js'

export default async function (sandbox) {
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
}
