/**
 * Shows one dashboard of charts/probelet/dashboards with Grafana's own components: ?name=agent-cost&minutes=15&step=5.
 *
 * In: the dashboard's JSON, a Prometheus. Out: a page; `window.finished` is the number of panels once all are drawn.
 * I/O: fetches both from the server of this page.
 */
import React, { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { FieldConfigOptionsRegistry, ThemeContext, applyFieldOverrides, createTheme, dateTime, standardFieldConfigEditorRegistry, transformDataFrame } from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import { PanelChrome } from '@grafana/ui';
import { lastValueFrom } from 'rxjs';
import { register } from './fields.js';
import { Body, Fault } from './panels.jsx';
import { frames, moments } from './prometheus.js';

const words = new URLSearchParams(location.search);
const theme = createTheme({ colors: { mode: words.get('mode') ?? 'light' } });
const CELL = 30;
const GAP = 8;
const WIDTH = 1600;

function fieldRegistry() {
  const registry = new FieldConfigOptionsRegistry();
  standardFieldConfigEditorRegistry.list().forEach((each) => registry.register(each));
  return registry;
}

async function prepared(panel, range, step) {
  const raw = await frames(panel, range, step);
  const data = await lastValueFrom(transformDataFrame(panel.transformations ?? [], raw));
  return applyFieldOverrides({ data, fieldConfig: panel.fieldConfig, fieldConfigRegistry: fieldRegistry(), replaceVariables: (text) => text, theme, timeZone: 'utc' });
}

function place({ x, y, w, h }) {
  const column = (WIDTH - GAP) / 24;
  return { left: GAP + x * column, top: y * (CELL + GAP), width: w * column - GAP, height: h * CELL + (h - 1) * GAP };
}

function Panel({ panel, range, step, marks, done }) {
  const [state, set] = useState({});
  useEffect(() => {
    prepared(panel, range, step).then((data) => set({ data }), (error) => set({ error: error.message })).finally(() => setTimeout(done, 300));
  }, []);
  const box = place(panel.gridPos);
  return (
    <div style={{ position: 'absolute', ...box }}>
      <PanelChrome title={panel.title} description={panel.description} width={box.width} height={box.height} padding="md">
        {(width, height) => (
          state.error ? <Fault text={state.error} /> : state.data ? <Body panel={panel} frames={state.data} width={width} height={height} range={range} theme={theme} moments={marks} /> : null
        )}
      </PanelChrome>
    </div>
  );
}

function Board({ board, range, step, marks }) {
  const panels = board.panels.filter(({ type }) => type !== 'row');
  const rows = board.panels.filter(({ type }) => type === 'row');
  const bottom = Math.max(...board.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  const done = () => { window.drawn = (window.drawn ?? 0) + 1; if (window.drawn === panels.length) { window.finished = panels.length; } };
  const style = { color: theme.colors.text.primary, background: theme.colors.background.canvas, fontFamily: theme.typography.fontFamily, width: WIDTH + GAP };
  const choice = { border: `1px solid ${theme.colors.border.medium}`, padding: '5px 10px', background: theme.colors.background.primary, borderRadius: 4 };
  const time = (at) => at.utc().format('YYYY-MM-DD HH:mm');
  return (
    <div style={style}>
      <div style={{ padding: GAP * 2, display: 'flex', gap: GAP, alignItems: 'center' }}>
        <span style={{ fontSize: 20, fontWeight: 500, marginRight: 16 }}>{board.title}</span>
        {board.templating.list.map(({ name, label }) => <span key={name} style={choice}>{label}: <b>{name === 'datasource' ? 'Prometheus' : words.get(name) ?? 'All'}</b></span>)}
        <span style={{ ...choice, marginLeft: 'auto' }}>{time(range.from)} to {time(range.to)} UTC</span>
      </div>
      <div style={{ position: 'relative', height: bottom * (CELL + GAP) + GAP }}>
        {rows.map((row) => <div key={row.id} style={{ position: 'absolute', ...place(row.gridPos), display: 'flex', alignItems: 'center', fontSize: 16, fontWeight: 500 }}>⌄ {row.title}</div>)}
        {panels.map((panel) => <Panel key={panel.id} panel={panel} range={range} step={step} marks={marks} done={done} />)}
      </div>
    </div>
  );
}

async function main() {
  await initPluginTranslations('probelet').catch(() => undefined);
  register();
  const board = await (await fetch(`/${words.get('name')}.json`)).json();
  const step = Number(words.get('step') ?? 15);
  const end = dateTime(Math.floor(Number(words.get('to') ?? Date.now()) / (step * 1000)) * step * 1000);
  const from = dateTime(end.valueOf() - Number(words.get('minutes') ?? 15) * 60_000);
  const range = { from, to: end, raw: { from, to: end } };
  const annotation = board.annotations.list.find(({ expr }) => expr);
  const marks = annotation ? await moments(annotation, range, 60) : [];
  createRoot(document.getElementById('root')).render(<ThemeContext.Provider value={theme}><Board board={board} range={range} step={step} marks={marks} /></ThemeContext.Provider>);
}

main().catch((error) => { document.body.textContent = `failed: ${error.stack}`; window.finished = -1; });
