import { describeLooks } from './page-looks.ts'

describeLooks('light')
