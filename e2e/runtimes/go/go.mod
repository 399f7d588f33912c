module probelet.io/e2e/runtimes

go 1.24
