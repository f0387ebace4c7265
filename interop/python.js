// The official Python SDK (python_sdk.py): a line a step, which is counted as one here.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { skip, step } from './steps.js'

const python = 'node_modules/.python/bin/python'

export default async function pythonSdk() {
  if (!existsSync(python)) return skip('python sdk', 'the package is not installed')
  const run = spawnSync(python, ['python_sdk.py'], { encoding: 'utf8', timeout: 120000 })
  const steps = run.stdout.split(/^(?=ok {6}|failed {2})/m).filter((text) => /^(ok {6}|failed {2})/.test(text))
  for (const text of steps) {
    const [, outcome, name, why] = text.match(/^(ok|failed) +(.*)\n([^]*)/)
    await step(name, () => { if (outcome === 'failed') throw new Error(why) })
  }
  await step('python sdk: came to its end', () => {
    if (!/^\d+ passed, \d+ failed$/m.test(run.stdout)) throw new Error(run.stderr || `status ${run.status}`)
  })
}
