/**
 * Takes pictures of all dashboards: node shoot.mjs URL FOLDER [QUERY]. Fails if a panel could not be drawn.
 *
 * In: a page that `vite preview` serves. Out: PNG files.
 * I/O: a headless Chromium (CHROMIUM names it), files.
 */
import puppeteer from 'puppeteer-core';
import { readdirSync } from 'node:fs';

const [url, folder, query = ''] = process.argv.slice(2);
const names = readdirSync(new URL('../../../charts/probelet/dashboards/', import.meta.url)).map((name) => name.replace(/\.json$/, ''));
const browser = await puppeteer.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--force-color-profile=srgb'] });
let failed = false;
for (const name of names.filter((each) => !process.env.ONLY || process.env.ONLY.split(',').includes(each))) {
  const page = await browser.newPage();
  page.on('pageerror', (error) => console.error(`${name}: ${error.message}`));
  if (process.env.VERBOSE) page.on('console', (line) => console.error(`${name}: ${line.text()}`));
  await page.setViewport({ width: 1608, height: 1000 });
  await page.goto(`${url}/?name=${name}&${query}`);
  await page.waitForFunction('window.finished', { timeout: 60_000 });
  await new Promise((go) => setTimeout(go, 1500));
  const faults = await page.$$eval('[data-fault]', (all) => all.map((each) => each.dataset.fault));
  await page.screenshot({ path: `${folder}/dashboard-${name}.png`, fullPage: true });
  const wrong = faults.length || (await page.evaluate('window.finished')) < 1;
  failed ||= wrong;
  console.log(wrong ? `FAIL: picture of ${name}: ${faults.join('; ')}` : `PASS: picture of ${name}: every panel is drawn`);
  await page.close();
}
await browser.close();
process.exit(failed ? 1 : 0);
