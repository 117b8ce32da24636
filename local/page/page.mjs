// Opens pages in a headless Chromium that comes inside a package, with no
// network, and tells what it sees.
//
// Standard input: {"page": file, "hostile": file, "large": file, "pictures": directory or ""}.
// Standard output: what was seen, as JSON. TMPDIR is where the browser is unpacked.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const home = os.tmpdir();
// The package then brings the libraries of the browser along, whatever the machine has.
process.env.AWS_LAMBDA_JS_RUNTIME = 'nodejs20.x';
process.env.FONTCONFIG_FILE = path.join(home, 'fonts.conf');
fs.writeFileSync(process.env.FONTCONFIG_FILE, `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><dir>${home}/fonts</dir><cachedir>${home}/fonts-cache</cachedir></fontconfig>`);

const { default: chromium } = await import('@sparticuz/chromium');
const { default: puppeteer } = await import('puppeteer-core');

const input = JSON.parse(fs.readFileSync(0, 'utf8'));
const browser = await puppeteer.launch({
  executablePath: await chromium.executablePath(),
  headless: 'shell',
  args: ['--no-sandbox', '--no-zygote', '--disable-gpu', '--disable-dev-shm-usage', '--host-resolver-rules=MAP * ~NOTFOUND'],
});

// open opens a file in a page of its own, which keeps what it asked for and
// complained about.
async function open(file, { width = 1240, height = 900, scheme = 'light', script = true } = {}) {
  const page = await browser.newPage();
  page.asked = [];
  page.complaints = [];
  page.on('console', (m) => { if (['error', 'warn'].includes(m.type())) page.complaints.push(m.text()); });
  page.on('pageerror', (e) => page.complaints.push(String(e)));
  page.on('dialog', (d) => { page.complaints.push(`dialog ${d.message()}`); d.dismiss(); });
  await page.setRequestInterception(true);
  const url = pathToFileURL(file).href;
  page.on('request', (r) => {
    if (r.url() === url || r.url().startsWith(`${url}#`)) return r.continue();
    page.asked.push(r.url());
    return r.abort();
  });
  await page.setJavaScriptEnabled(script);
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  await page.setViewport({ width, height });
  await page.goto(url);
  return page;
}

// look gives what stands on a page.
const look = (page, text = true) => page.evaluate((text) => {
  const visible = (selector) => [...document.querySelectorAll(selector)].filter((e) => e.getClientRects().length > 0);
  // The least contrast of text of the service-linked roles with what is behind it
  // (WCAG 2.1, contrast ratio); 0 without such text.
  const contrast = () => {
    const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
    const light = (colour) => parts(colour).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (e) => {
      const colour = getComputedStyle(e).backgroundColor;
      return e.parentElement && parts(colour)[3] === 0 ? behind(e.parentElement) : colour;
    };
    const own = visible('.linked *').filter((e) => [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim()));
    const ratios = own.map((e) => [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => b - a)).map(([a, b]) => (a + 0.05) / (b + 0.05));
    return ratios.length ? Math.min(...ratios) : 0;
  };
  return {
    rows: visible('[data-kind]').length,
    groups: visible('.group').length,
    shown: document.querySelector('#shown')?.textContent ?? '',
    background: getComputedStyle(document.body).backgroundColor,
    color: getComputedStyle(document.body).color,
    lines: visible('#chart polyline').length,
    differences: document.querySelectorAll('[data-kind]:not([hidden]) details[open] pre').length,
    search: document.querySelector('#search')?.disabled === false,
    contrast: contrast(),
    overflows: document.documentElement.scrollWidth > innerWidth,
    linked: visible('.linked [data-kind]').length,
    regions: visible('.linked dt').length,
    text: text ? document.body.innerText : '',
  };
}, text);

const still = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
const type = async (page, text) => {
  await page.$eval('#search', (e) => { e.value = ''; });
  await page.type('#search', text || ' ');
  await still(page);
};
const picture = async (page, name, all = true) => {
  if (!input.pictures) return;
  await page.screenshot({ path: path.join(input.pictures, `page-${name}.png`), fullPage: all });
  if (all) await (await page.$('.linked')).screenshot({ path: path.join(input.pictures, `page-${name}-linked.png`) });
};

const seen = { asked: [], complaints: [] };
const close = async (page) => {
  seen.asked.push(...page.asked);
  seen.complaints.push(...page.complaints);
  await page.close();
};

try {
  let page = await open(input.page);
  seen.version = await browser.version();
  seen.light = await look(page);
  await picture(page, 'light');
  await page.keyboard.press('/');
  seen.slash = await page.evaluate(() => document.activeElement.id);
  await type(page, 'triage QUICK-fix');
  seen.searched = await look(page);
  await type(page, 'dynamodb:*');
  seen.policy = await look(page);
  await page.keyboard.press('Escape');
  seen.cleared = await look(page);
  await page.click('[data-filter="edited"]');
  seen.filtered = await look(page);
  await page.click('[data-filter="extra"]');
  seen.both = await look(page);
  await page.keyboard.press('Escape');
  await page.click('[data-filter="service-linked-role"]');
  seen.roles = await look(page);
  await page.keyboard.press('Escape');
  await page.click('button[data-new]');
  seen.fresh = await look(page);
  await type(page, 'nothing has this');
  seen.none = await look(page);
  await page.click('.news a');
  await still(page);
  seen.jumped = await page.evaluate(() => {
    const box = document.querySelector(':target').getBoundingClientRect();
    return box.height > 0 && box.top >= 0 && box.bottom <= innerHeight;
  });
  await page.click('#open');
  seen.opened = await look(page);
  await page.click('#theme');
  seen.toggled = await look(page);
  await page.click('#theme');
  seen.untoggled = await look(page);
  await close(page);

  page = await open(input.page, { scheme: 'dark' });
  seen.dark = await look(page);
  await picture(page, 'dark');
  await close(page);

  page = await open(input.page, { width: 360 });
  seen.narrow = await look(page);
  await picture(page, 'narrow');
  await close(page);

  page = await open(input.page, { script: false });
  seen.plain = await look(page);
  await close(page);

  page = await open(input.page);
  await page.click('#theme'); // to dark
  await page.emulateMediaType('print');
  seen.printed = await look(page);
  await picture(page, 'print');
  await close(page);

  // Were the policy of the page not there, this would run.
  page = await open(input.page);
  seen.injected = await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.injected = true';
    document.body.append(script);
    return window.injected === true;
  });
  await page.close();

  page = await open(input.hostile);
  seen.hostile = await look(page);
  seen.pwned = await page.evaluate(() => window.pwned !== undefined);
  seen.elements = await page.evaluate(() => document.querySelectorAll('body script, img, iframe, object, embed, link, base, form, [onerror], [onclick], [onload], [style], a:not([href^="#"])').length);
  await picture(page, 'hostile');
  await close(page);

  const began = performance.now();
  page = await open(input.large);
  await still(page);
  seen.loaded = performance.now() - began;
  seen.large = await look(page, false);
  // From a key to the rows that match it, the first with the index made.
  const keys = async (text) => page.evaluate((t) => {
    const search = document.querySelector('#search');
    const from = performance.now();
    search.value = t;
    search.dispatchEvent(new Event('input'));
    return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - from))));
  }, text);
  seen.firstKey = await keys('a');
  seen.nextKey = await keys('agent-4999');
  seen.largeSearched = await look(page, false);
  await keys('');
  seen.openAll = await page.evaluate(() => {
    const from = performance.now();
    document.querySelector('#open').click();
    return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - from))));
  });
  seen.largeOpened = await look(page, false);
  await picture(page, 'large', false);
  await close(page);
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify(seen));
