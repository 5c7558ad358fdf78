{ title: 'x', description: 'x.', refresh: '30s', variables: [], rows: [] }
