// Builds the page, and serves it with the dashboards and a Prometheus behind it: PROMETHEUS is its address.
import { defineConfig } from 'vite';
import react from '@vitejs/plugin-react';
import { fileURLToPath } from 'node:url';

const here = (name) => fileURLToPath(new URL(`src/${name}`, import.meta.url));
const proxy = { '/api': process.env.PROMETHEUS ?? 'http://127.0.0.1:9090' };

export default defineConfig({
  plugins: [react()],
  define: { 'process.env.NODE_ENV': '"production"', 'process.env': '{}', global: 'globalThis' },
  resolve: { alias: { '@grafana/plugin-compat': here('plugin-compat.js'), 'react-custom-scrollbars-2': here('scrollbars.jsx') } },
  publicDir: fileURLToPath(new URL('../../../charts/probelet/dashboards', import.meta.url)),
  build: { outDir: process.env.OUT ?? 'dist', emptyOutDir: true, sourcemap: false, chunkSizeWarningLimit: 20000, target: 'es2022' },
  preview: { host: '127.0.0.1', port: Number(process.env.PORT ?? 19491), strictPort: true, proxy },
});
