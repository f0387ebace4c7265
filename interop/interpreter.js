// The interpreter that remembers.
import assert from 'node:assert/strict'
import { DaytonaTimeoutError } from '@daytona/sdk'
import { step } from './steps.js'

export default async function (sandbox) {
  const interpreter = sandbox.codeInterpreter

  await step('code that remembers, with output as it comes', async () => {
    const out = []
    const err = []
    await interpreter.runCode('x = 20')
    const r = await interpreter.runCode('import sys\nprint(x + 22)\nprint("é!", file=sys.stderr)', {
      onStdout: (m) => out.push(m.output),
      onStderr: (m) => err.push(m.output),
    })
    assert.equal(r.stdout, '42\n')
    assert.equal(r.stderr, 'é!\n')
    assert.equal(r.error, undefined)
    assert.equal(out.join(''), r.stdout)
    assert.equal(err.join(''), r.stderr)
  })

  await step('variables of one run', async () => {
    const r = await interpreter.runCode('import os\nprint(os.environ["NAME"])', { envs: { NAME: 'ada' } })
    assert.equal(r.stdout, 'ada\n')
  })

  await step('an error, with name, value and traceback', async () => {
    let seen
    const r = await interpreter.runCode('print("before")\n1 / 0', { onError: (e) => { seen = e } })
    assert.equal(r.stdout, 'before\n')
    assert.equal(r.error.name, 'ZeroDivisionError')
    assert.equal(r.error.value, 'division by zero')
    assert.match(r.error.traceback, /line 2/)
    assert.deepEqual(seen, r.error)
  })

  await step('code that takes too long', async () => {
    // This SDK may take the message before the close 4008 for a good end.
    const begin = Date.now()
    await interpreter.runCode('while True: pass', { timeout: 1 })
      .catch((e) => assert.ok(e instanceof DaytonaTimeoutError, e))
    assert.ok(Date.now() - begin < 5000)
    assert.equal((await interpreter.runCode('print(x)')).stdout, '20\n')
  })

  await step('contexts that do not see each other', async () => {
    const one = await interpreter.createContext('/tmp')
    const two = await interpreter.createContext()
    assert.equal(one.cwd, '/tmp')
    assert.equal(one.language, 'python')
    await interpreter.runCode('x = "one"', { context: one })
    const r = await interpreter.runCode('import os\nprint(x, os.getcwd())', { context: one })
    assert.equal(r.stdout, 'one /tmp\n')
    assert.equal((await interpreter.runCode('x', { context: two })).error.name, 'NameError')
    const ids = (await interpreter.listContexts()).map((c) => c.id)
    assert.ok(ids.includes(one.id) && ids.includes(two.id))
    await interpreter.deleteContext(one)
    assert.ok(!(await interpreter.listContexts()).some((c) => c.id === one.id))
    await assert.rejects(interpreter.runCode('1', { context: one }))
    await assert.rejects(interpreter.deleteContext(one), (e) => e.statusCode === 404)
  })
}
