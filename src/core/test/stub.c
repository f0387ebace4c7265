void test_cancel(void); void test_cancel(void){}
void test_connection(void); void test_connection(void){}
void test_loop(void); void test_loop(void){}
