/* Inside shared/rules: elementary functions with the same bits on every machine. */
#pragma once

double rule_exp(double x); /* infinity beyond 709 */
double rule_log(double x); /* NaN unless x > 0 */
double rule_pow(double x, double y);
