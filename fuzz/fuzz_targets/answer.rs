#![doc = "See quorra_fuzz::answer."]
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| quorra_fuzz::answer::run(bytes));
